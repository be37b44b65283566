"""Layout in inches: a title, a body and a caption, each as high as its content needs.

Text is measured with the font's own metrics before it is placed, so that nothing
overlaps and nothing is cut off, whatever the classes are called.
"""

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from alexnet.report.names import cut, shorten
from alexnet.report.style import (
    DPI,
    INK,
    MUTED,
    SMALL,
    TITLE,
    WIDTH,
    TitledFigure,
    font_families,
)

MARGIN = 0.12
PAD = 0.08  # around the body of a picture that stands on the page without its words
HINTING = 1.02  # glyphs set on whole pixels come out a little wider than the font says
# On the page an inch is at most 112 CSS pixels wide, which are 224 of a fine screen.
PIXELS_PER_INCH = 224
LARGEST_SHARP = 64  # pixels: an image of more is a photograph, whose pixels one does not see
PHOTOGRAPH = "photograph-"  # and a number: the SVG's id of such an image
LEADING = 1.4 / 72  # inches of line height for a point of type


class Canvas:
    """A picture `WIDTH` inches wide whose body is `height` inches high.

    Positions are inches from the body's upper left corner, to the right and down.
    """

    def __init__(self, height: float, title: str, caption: str = "") -> None:
        heading = wrap(title, TITLE, WIDTH - 2 * MARGIN, bold=True)
        notes = wrap(caption, SMALL, WIDTH - 2 * MARGIN) if caption else []
        self.top = MARGIN + len(heading) * TITLE * LEADING + 0.1
        below = (0.1 + len(notes) * SMALL * LEADING if notes else 0.0) + MARGIN
        self.height = height
        self.total = self.top + height + below
        self.figure = TitledFigure(figsize=(WIDTH, self.total), dpi=DPI)
        self.figure.title, self.figure.caption = title, caption
        self.figure.body = Bbox.from_extents(0, below - PAD, WIDTH, below + height + PAD)
        self._lines(heading, self.total - MARGIN, "top", size=TITLE, weight="bold", color=INK)
        self._lines(notes, MARGIN, "bottom", size=SMALL, color=MUTED)
        self.figure.words = list(self.figure.texts)

    @staticmethod
    def shares(height: float, left: float, top: float) -> tuple[float, float]:
        """A position as shares of the width and the height of a body of that height, with PAD."""
        return left / WIDTH, (PAD + top) / (height + 2 * PAD)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """An axes of that size, its upper left corner at (left, top)."""
        bottom = self.total - self.top - top - height
        return self.figure.add_axes(
            (left / WIDTH, bottom / self.total, width / WIDTH, height / self.total)
        )

    def body(self) -> Axes:
        """The whole body as an empty axes whose data coordinates are inches, y pointing down."""
        axes = self.axes(0, 0, WIDTH, self.height)
        axes.set(xlim=(0, WIDTH), ylim=(self.height, 0))
        axes.axis("off")
        return axes

    def image(self, left: float, top: float, size: float, image: NDArray[np.uint8]) -> None:
        """An image uint8 (H, W, C), C 1 or 3, in a square of `size` inches, its pixels kept sharp.

        A larger one than can be seen there is resized.
        """
        pixels = image[..., 0] if image.shape[-1] == 1 else image
        side = round(size * PIXELS_PER_INCH)
        if side < len(pixels):
            pixels = np.asarray(Image.fromarray(pixels).resize((side, side), Resampling.LANCZOS))
        drawn = self._images.imshow(
            pixels,
            cmap="gray",
            vmin=0,
            vmax=255,
            extent=(left, left + size, top + size, top),
            aspect="auto",
            # "none" puts the pixels themselves into the SVG; "nearest" would resample them.
            interpolation="none",
        )
        if len(pixels) > LARGEST_SHARP:
            drawn.set_gid(f"{PHOTOGRAPH}{len(self._images.images)}")

    @cached_property
    def _images(self) -> Axes:
        """The axes of all images: an axes for each of them would take longer than all else."""
        return self.body()

    def _lines(self, lines: Sequence[str], y: float, side: str, **how: Any) -> None:
        if lines:
            self.figure.text(
                MARGIN / WIDTH,
                y / self.total,
                "\n".join(lines),
                verticalalignment=side,
                linespacing=1.3,
                **how,
            )


@cache
def text_width(text: str, size: float, bold: bool = False) -> float:
    """Inches that one line of text takes at `size` points."""
    font = FontProperties(family=font_families(), size=size, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72 * HINTING


def fit(text: str, size: float, width: float, bold: bool = False) -> str:
    """`text`, cut in its middle where it is wider than `width` inches."""
    return cut(text, lambda shorter: text_width(shorter, size, bold) <= width)


def fit_names(names: Sequence[str], size: float, width: float, bold: bool = False) -> list[str]:
    """All classes' names, cut where they are wider than `width` inches, and still different."""
    return shorten(names, lambda text: text_width(text, size, bold) <= width)


def wrap(text: str, size: float, width: float, bold: bool = False) -> list[str]:
    """`text` in lines of at most `width` inches, broken between words."""
    lines: list[str] = []
    for word in text.replace(" %", "\N{NO-BREAK SPACE}%").split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, bold) <= width:
            lines[-1] = longer
        else:
            lines.append(fit(word, size, width, bold))
    return lines
