"""The one place for colours, fonts and sizes, and for how a picture becomes a file.

The colours are Okabe and Ito's (Color Universal Design, 2008), which readers with
any of the common colour-vision deficiencies can tell apart. All pictures have the
same width, so that a point of type is the same size in each of them on the page.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontManager, fontManager
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from alexnet.files import atomic_write

ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"

INK = "#1f2328"
MUTED = "#5b636d"
FAINT = "#e4e7eb"
PAPER = "#ffffff"

TRAINING = BLUE
VALIDATION = VERMILLION
RIGHT = BLUE
WRONG = VERMILLION

# Name and colour by kind of `alexnet.network.summary.Layer`; the order is the legend's.
KINDS = {
    "conv": ("convolution", BLUE),
    "fc": ("fully connected", ORANGE),
    "max pool": ("max pool", GREEN),
    "average pool": ("average pool", SKY),
    "relu": ("ReLU", "#a3abb5"),
    "lrn": ("local response normalisation", PURPLE),
    "batch norm": ("batch normalisation", "#7a5195"),
    "dropout": ("dropout", VERMILLION),
    "flatten": ("flatten", "#4d5560"),
    "identity": ("identity", FAINT),
}

# Text on a coloured cell: unlike INK and PAPER these stay as they are on a dark page.
ON_PALE, ON_DEEP = "#1e2227", "#fefefe"

WIDTH = 7.4  # inches, of every picture
DPI = 160
FONT = "DejaVu Sans"  # comes with matplotlib: Latin, Greek, Cyrillic, Hebrew, Arabic, ...
# For the characters that it lacks, in class names; those of them that are installed.
FALLBACK_FONTS = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei"),
    *("Microsoft YaHei", "PingFang SC", "Noto Sans CJK JP", "Noto Sans JP", "Noto Sans KR"),
    *("Yu Gothic", "Hiragino Sans", "IPAexGothic", "Malgun Gothic", "Apple SD Gothic Neo"),
    *("NanumGothic", "Droid Sans Fallback"),
    *(
        f"Noto Sans {script}"
        for script in (
            *("Devanagari", "Thai", "Arabic", "Hebrew", "Bengali", "Tamil", "Telugu", "Gujarati"),
            *("Gurmukhi", "Kannada", "Malayalam", "Oriya", "Sinhala", "Khmer", "Lao", "Myanmar"),
            *("Ethiopic", "Armenian", "Georgian", "Cherokee", "Mongolian", "Thaana", "Symbols"),
        )
    ),
    *("Nirmala UI", "Leelawadee UI", "Segoe UI", "Tahoma", "Arial Unicode MS"),
    # Outlines in one colour: matplotlib does not draw a font of coloured pictures.
    *("Noto Emoji", "Segoe UI Symbol", "Symbola", "Noto Sans Symbols2", "Apple Symbols"),
)
TITLE, TEXT, SMALL = 11.0, 8.5, 7.5  # points

_SETTINGS: dict[Any, Any] = {
    "font.size": TEXT,
    # A class may be called "$5": never read as a formula.
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": TEXT,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid.axis": "y",
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": TEXT,
    "ytick.labelsize": TEXT,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    # Each image of an axes stays one of its own, with its own pixels.
    "image.composite_image": False,
    # Outlines instead of text: legible where the font is not installed.
    "svg.fonttype": "path",
    # Element ids are hashes; with a fixed salt the same picture has the same bytes.
    "svg.hashsalt": "alexnet",
}


@cache
def font_families() -> list[str]:
    """The fonts that text is drawn with, each for the characters that those before it lack."""
    # It would report that a fallback has no bold.
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    installed = set(fontManager.get_font_names())
    return [FONT, *(name for name in FALLBACK_FONTS if name in installed)]


def update_fonts() -> bool:
    """Whether there are fallback fonts that were installed since matplotlib listed the fonts.

    It lists them once and reads that list from a file ever after.
    """
    before = font_families()
    fontManager.ttflist = FontManager().ttflist
    font_families.cache_clear()
    return font_families() != before


@contextmanager
def applied() -> Iterator[None]:
    """This style alone, whatever the user's matplotlibrc or the caller's rcParams.

    Also a decorator: `@applied()` above each function that draws.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS | {"font.family": font_families()})
        yield


# Neither a date nor a version: the same figure gives the same bytes.
_METADATA: dict[str, dict[str, str | None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


class TitledFigure(Figure):
    """A figure that knows its title and its caption, which the page shows as text beside it."""

    title: str
    caption: str
    words: list[Text]  # both, as drawn
    body: Bbox  # of the picture without them, in inches


def save(figure: TitledFigure, folder: Path, name: str) -> None:
    """Write `<name>.png`, a picture of its own, and `<name>.svg`, the page's, into `folder`."""
    save_file(figure, folder / f"{name}.png")
    save_body(figure, folder / f"{name}.svg")


@applied()
def save_file(figure: Figure, path: Path) -> None:
    """Write a .png, .svg or .pdf file, with the title and the caption in the picture."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=DPI, metadata=_METADATA[path.suffix])


@applied()
def save_body(figure: TitledFigure, path: Path) -> None:
    """Write an .svg file without the title and the caption: its metadata hold them."""
    for text in figure.words:
        text.set_visible(False)
    words = {"Title": figure.title, "Description": figure.caption}
    with atomic_write(path) as temporary:
        figure.savefig(
            temporary, format="svg", metadata=_METADATA[".svg"] | words, bbox_inches=figure.body
        )
    for text in figure.words:
        text.set_visible(True)


def shades(colour: str) -> LinearSegmentedColormap:
    """A colour map from paper white to `colour`."""
    return LinearSegmentedColormap.from_list(f"white to {colour}", [PAPER, colour])


# From zero to the largest value in even steps of lightness, legible with any colour vision.
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#9fd0ee", BLUE, "#06263d"])

# White at zero, cold below it, warm above.
DIVERGING = LinearSegmentedColormap.from_list(
    "diverging", [(0, BLUE), (0.5, "#ffffff"), (0.68, ORANGE), (0.84, VERMILLION), (1, "#5a1f00")]
).with_extremes(bad=FAINT)

# HEAT for maps with masked values, such as the lines between small maps.
BLANK = HEAT.with_extremes(bad=FAINT)


def by_depth(number: int, first: float = 0.02, last: float = 0.85) -> list[str]:
    """`number` colours of increasing lightness, from the first layer (dark) to the last."""
    ramp = matplotlib.colormaps["viridis"]
    steps = max(1, number - 1)
    return [to_hex(ramp(first + (last - first) * k / steps)) for k in range(number)]


# Each colour's replacement on a dark page; other colours stay.
ON_DARK = {
    INK: "#e8eaed",
    MUTED: "#a3abb5",
    FAINT: "#343a42",
    PAPER: "#15181c",
    BLUE: "#4aa3dc",
    VERMILLION: "#f2843f",
    **dict(zip(by_depth(8), by_depth(8, 0.3, 1.0), strict=True)),
}


def percent(share: float, digits: int = 1) -> str:
    """0.914 as "91.4 %", and 0.0002, which would be rounded to 0, as "<0.1 %"."""
    smallest = 10.0**-digits
    if 0 < 100 * share < smallest / 2:
        return f"<{smallest:g} %"
    return f"{100 * share:.{digits}f} %"


def points(difference: float) -> str:
    """A difference of two shares in percentage points: 0.0123 as "+1.23 points"."""
    return f"{100 * difference:+.2f} points".replace("-", "\N{MINUS SIGN}")
