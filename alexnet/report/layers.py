"""What pictures of the network share: how a layer is put into words, numbers and colours."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from alexnet.network.summary import Layer
from alexnet.report.page import MARGIN, text_width
from alexnet.report.style import FAINT, INK, KINDS, MUTED, SMALL, WIDTH

LEGEND_ROW = 0.22  # inches
GAP = 0.18
BAR = 0.03


def operation(layer: Layer) -> str:
    """What the layer does, in words: "conv 5×5, stride 1, pad 2, 2 groups"."""
    words = KINDS[layer.kind][0] if layer.kernel is None else layer.kind
    if layer.kernel is not None:
        words += f" {layer.kernel}×{layer.kernel}, stride {layer.stride}"
    if layer.padding:
        words += f", pad {layer.padding}"
    if layer.groups is not None and layer.groups > 1:
        words += f", {layer.groups} groups"
    return words


def shape_words(shape: tuple[int, ...]) -> str:
    return " × ".join(str(side) for side in shape)


def field_words(layer: Layer) -> str:
    """The square of the image that one of the layer's values depends on."""
    side = layer.receptive_field
    return "all" if side is None else f"{side}×{side}"


@dataclass(frozen=True)
class Column:
    """One number of each layer; a bar under it if it is to be compared down the column."""

    heading: str
    words: Callable[[Layer], str]
    value: Callable[[Layer], int] | None = None


COLUMNS = (
    Column("output", lambda layer: shape_words(layer.output_shape)),
    Column(
        "parameters",
        lambda layer: f"{layer.parameters:,}" if layer.parameters else "",
        lambda layer: layer.parameters,
    ),
    Column(
        "MFLOP",
        lambda layer: f"{layer.flops / 1e6:,.1f}" if layer.flops else "",
        lambda layer: layer.flops,
    ),
    Column("sees", field_words),
)


class Numbers:
    """The columns of numbers, each as wide as what is written in it, up to `right` inches."""

    def __init__(self, layers: list[Layer], input_shape: tuple[int, ...], right: float) -> None:
        self.layers = layers
        self.ends: list[float] = []
        for column in reversed(COLUMNS):
            self.ends.insert(0, right)
            texts = [column.heading, *map(column.words, layers)]
            if column.heading == "output":
                texts.append(shape_words(input_shape))
            right -= widest(texts, SMALL) + GAP
        self.left = right  # what stands before the columns ends here

    def draw_header(self, axes: Axes, y: float) -> None:
        for column, end in zip(COLUMNS, self.ends, strict=True):
            number(axes, end, y, column.heading, MUTED)

    def draw(self, axes: Axes, y: float, layer: Layer, colour: str) -> None:
        """A row of them. Bars compare the layer with the one that has most."""
        for column, end in zip(COLUMNS, self.ends, strict=True):
            words = column.words(layer)
            number(axes, end, y, words, colour)
            if column.value is not None and words:
                share = column.value(layer) / max(map(column.value, self.layers))
                width = share * text_width(column.heading, SMALL)
                bar = Rectangle((end - width, y + 0.085), width, BAR)
                bar.set_facecolor(KINDS[layer.kind][1])
                axes.add_patch(bar)


def number(axes: Axes, right: float, y: float, text: str, colour: str = INK) -> None:
    axes.text(right, y, text, fontsize=SMALL, color=colour, ha="right", va="center")


def field_glyph(axes: Axes, left: float, middle: float, size: float, share: float) -> None:
    """The image as a square, and in it the square of that share of its side."""
    for side, colour in ((size, FAINT), (share * size, MUTED)):
        rim = (size - side) / 2
        corner = left + rim, middle - side / 2
        axes.add_patch(Rectangle(corner, side, side, facecolor=colour))


def widest(texts: Iterable[str], size: float, bold: bool = False) -> float:
    """Inches that the widest of the texts takes at `size` points."""
    return max(text_width(text, size, bold) for text in texts)


def legend_rows(layers: list[Layer]) -> list[list[str]]:
    """The kinds that occur, in rows that fit the width."""
    present = {layer.kind for layer in layers}
    rows: list[list[str]] = [[]]
    used = 0.0
    for kind, (words, _) in KINDS.items():
        if kind not in present:
            continue
        width = _legend_width(words)
        if used + width > WIDTH - 2 * MARGIN:
            rows.append([])
            used = 0.0
        rows[-1].append(kind)
        used += width
    return rows


def draw_legend(axes: Axes, top: float, rows: list[list[str]]) -> None:
    for row, kinds in enumerate(rows):
        x, y = MARGIN, top + LEGEND_ROW * row
        for kind in kinds:
            words, colour = KINDS[kind]
            axes.add_patch(Rectangle((x, y - 0.06), 0.12, 0.12, facecolor=colour))
            axes.text(x + 0.2, y, words, fontsize=SMALL, va="center")
            x += _legend_width(words)


def _legend_width(words: str) -> float:
    return 0.2 + text_width(words, SMALL) + 0.18
