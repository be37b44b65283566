"""What pictures of the network share: a layer in words, numbers and colours."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from alexnet.network.summary import Layer
from alexnet.report.canvas import MARGIN, text_width
from alexnet.report.style import FAINT, INK, KINDS, MUTED, SMALL, WIDTH

LEGEND_ROW = 0.22  # inches
GAP = 0.18
BAR = 0.03


def kind_name(layer: Layer) -> str:
    """The layer's kind in words; raises ValueError for a kind that the report does not know."""
    return _kind(layer)[0]


def kind_colour(layer: Layer) -> str:
    """The colour of the layer's kind; raises ValueError as `kind_name` does."""
    return _kind(layer)[1]


def _kind(layer: Layer) -> tuple[str, str]:
    if layer.kind not in KINDS:
        raise ValueError(
            f"the report cannot draw layer {layer.name} of kind {layer.kind!r}; give that kind a "
            "name and a colour in alexnet.report.style.KINDS"
        )
    return KINDS[layer.kind]


def operation(layer: Layer) -> str:
    """The layer's operation in words: "conv 5×5, stride 1, pad 2, 2 groups"."""
    words = kind_name(layer) if layer.kernel is None else layer.kind
    if layer.kernel is not None:
        words += f" {layer.kernel}×{layer.kernel}, stride {layer.stride}"
    if layer.padding:
        words += f", pad {layer.padding}"
    if layer.groups is not None and layer.groups > 1:
        words += f", {layer.groups} groups"
    return words


def format_shape(shape: tuple[int, ...]) -> str:
    return " × ".join(str(side) for side in shape)


def format_field(layer: Layer) -> str:
    """The receptive field: "19×19", or "all" for the whole image."""
    side = layer.receptive_field
    return "all" if side is None else f"{side}×{side}"


@dataclass(frozen=True)
class Column:
    """One number of each layer; with a bar under it if `value` is given."""

    heading: str
    text: Callable[[Layer], str]
    value: Callable[[Layer], int] | None = None


COLUMNS = (
    Column("output", lambda layer: format_shape(layer.output_shape)),
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
    Column("field", format_field),
)


class NumberColumns:
    """The columns of numbers, each as wide as its texts, the last one ending at `right` inches."""

    def __init__(self, layers: list[Layer], input_shape: tuple[int, ...], right: float) -> None:
        self.layers = layers
        self.ends: list[float] = []
        for column in reversed(COLUMNS):
            self.ends.insert(0, right)
            texts = [column.heading, *map(column.text, layers)]
            if column.heading == "output":
                texts.append(format_shape(input_shape))
            right -= widest(texts, SMALL) + GAP
        self.left = right  # the columns' left edge

    def draw_header(self, axes: Axes, y: float) -> None:
        for column, end in zip(COLUMNS, self.ends, strict=True):
            draw_number(axes, end, y, column.heading, MUTED)

    def draw(self, axes: Axes, y: float, layer: Layer, colour: str) -> None:
        """A layer's row; bars show its share of the largest layer's value."""
        for column, end in zip(COLUMNS, self.ends, strict=True):
            text = column.text(layer)
            draw_number(axes, end, y, text, colour)
            if column.value is not None and text:
                share = column.value(layer) / max(map(column.value, self.layers))
                width = share * text_width(column.heading, SMALL)
                bar = Rectangle((end - width, y + 0.085), width, BAR)
                bar.set_facecolor(kind_colour(layer))
                axes.add_patch(bar)


def draw_number(axes: Axes, right: float, y: float, text: str, colour: str = INK) -> None:
    axes.text(right, y, text, fontsize=SMALL, color=colour, ha="right", va="center")


def draw_field(axes: Axes, left: float, middle: float, size: float, share: float) -> None:
    """The image as a square, and in it the receptive field: a square of that share of its side."""
    for side, colour in ((size, FAINT), (share * size, MUTED)):
        rim = (size - side) / 2
        corner = left + rim, middle - side / 2
        axes.add_patch(Rectangle(corner, side, side, facecolor=colour))


def widest(texts: Iterable[str], size: float, bold: bool = False) -> float:
    """Inches that the widest of the texts takes at `size` points."""
    return max(text_width(text, size, bold) for text in texts)


def legend_rows(layers: list[Layer]) -> list[list[str]]:
    """The names of the kinds that occur, in rows that fit the width."""
    present = {kind_name(layer) for layer in layers}
    rows: list[list[str]] = [[]]
    used = 0.0
    for name, _ in KINDS.values():
        if name not in present:
            continue
        width = _legend_width(name)
        if used + width > WIDTH - 2 * MARGIN:
            rows.append([])
            used = 0.0
        rows[-1].append(name)
        used += width
    return rows


def draw_legend(axes: Axes, top: float, rows: list[list[str]]) -> None:
    colours = dict(KINDS.values())
    for row, names in enumerate(rows):
        x, y = MARGIN, top + LEGEND_ROW * row
        for name in names:
            axes.add_patch(Rectangle((x, y - 0.06), 0.12, 0.12, facecolor=colours[name]))
            axes.text(x + 0.2, y, name, fontsize=SMALL, va="center")
            x += _legend_width(name)


def _legend_width(name: str) -> float:
    return 0.2 + text_width(name, SMALL) + 0.18
