"""The network from input to logits, drawn from the list of its layers and nothing else."""

from math import prod, sqrt

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from alexnet.describe import Layer, totals
from alexnet.figures.page import MARGIN, Page, text_width
from alexnet.figures.style import FAINT, INK, KINDS, MUTED, SMALL, TEXT, WIDTH, applied, percent

# Layers that only pass values on, or change each by itself, get a slim block.
SLIM = {"relu", "lrn", "dropout", "flatten", "identity"}
TALL_BLOCK, SLIM_BLOCK = 0.34, 0.13  # inches
ARROW = 0.15
HEADER = 0.36

# Inches from the left: where names start, and where the columns of numbers end.
NAMES = MARGIN
BLOCKS, WIDEST = 3.13, 1.9  # centre, width of the largest block
SHAPE, PARAMETERS, MFLOP, SEES = 5.18, 6.13, 6.68, WIDTH - MARGIN


@applied()
def architecture(layers: list[Layer], variant: str, input_shape: tuple[int, int, int]) -> Figure:
    """The layers from top to bottom, with shapes, parameters, operations and receptive fields.

    `input_shape` is (C, H, W). A block is as wide as the square root of the number
    of values that it puts out, relative to the widest.
    """
    widest = max(prod(shape) for shape in [input_shape, *(layer.output_shape for layer in layers)])
    height = HEADER + TALL_BLOCK + sum(ARROW + _height(layer) for layer in layers) + ARROW + 0.2
    legend = _legend_rows(layers)
    page = Page(
        height + 0.12 + 0.22 * len(legend),
        _title(layers, variant),
        _caption(layers, input_shape),
    )
    axes = page.canvas()
    _header(axes)

    y = HEADER
    _block(axes, y, TALL_BLOCK, prod(input_shape) / widest, INK)
    _name(axes, y + TALL_BLOCK / 2, "input", "image")
    _number(axes, SHAPE, y + TALL_BLOCK / 2, _shape(input_shape))
    y += TALL_BLOCK
    for layer in layers:
        _arrow(axes, y)
        y += ARROW
        _layer(axes, y, layer, prod(layer.output_shape) / widest)
        y += _height(layer)
    _arrow(axes, y)
    axes.text(BLOCKS, y + ARROW + 0.09, "logits", fontsize=TEXT, ha="center", va="center")
    _draw_legend(axes, height + 0.2, legend)
    return page.figure


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


def _title(layers: list[Layer], variant: str) -> str:
    total = totals(layers)
    convolutions = sum(layer.flops for layer in layers if layer.kind == "conv")
    connected = sum(layer.parameters for layer in layers if layer.kind == "fc")
    return (
        f"AlexNet, variant {variant}: convolutions do "
        f"{percent(convolutions / total['flops'], 0)} of the work, fully connected layers hold "
        f"{percent(connected / total['parameters'], 0)} of the parameters"
    )


def _caption(layers: list[Layer], input_shape: tuple[int, int, int]) -> str:
    total = totals(layers)
    side = input_shape[1]
    text = (
        f"In all {total['parameters']:,} parameters and {total['flops'] / 1e6:,.0f} MFLOP for one "
        f"image of {_shape(input_shape)}. A block's width is proportional to the square root of "
        "the number of values that the layer puts out. Sees: the square of input pixels that "
        "one of these values depends on"
    )
    fields = [layer.receptive_field for layer in layers if layer.receptive_field is not None]
    if max(fields, default=0) > side:
        text += f"; beyond {side}×{side} it reaches into the padding around the image"
    return text + "."


def _height(layer: Layer) -> float:
    return SLIM_BLOCK if layer.kind in SLIM else TALL_BLOCK


def _shape(shape: tuple[int, ...]) -> str:
    return " × ".join(str(side) for side in shape)


def _header(axes: Axes) -> None:
    for x, words in (
        (SHAPE, "output"),
        (PARAMETERS, "parameters"),
        (MFLOP, "MFLOP"),
        (SEES, "sees"),
    ):
        axes.text(x, 0.1, words, fontsize=SMALL, color=MUTED, ha="right", va="center")
    axes.text(NAMES, 0.1, "layer", fontsize=SMALL, color=MUTED, va="center")
    axes.plot([NAMES, WIDTH - MARGIN], [0.22, 0.22], color=FAINT, linewidth=0.8)


def _layer(axes: Axes, top: float, layer: Layer, share: float) -> None:
    height = _height(layer)
    middle = top + height / 2
    _block(axes, top, height, share, KINDS[layer.kind][1])
    slim = layer.kind in SLIM
    _name(axes, middle, layer.name, "" if slim else operation(layer))
    quiet = {"muted": slim}
    _number(axes, SHAPE, middle, _shape(layer.output_shape), **quiet)
    if layer.parameters:
        _number(axes, PARAMETERS, middle, f"{layer.parameters:,}")
    if layer.flops:
        _number(axes, MFLOP, middle, f"{layer.flops / 1e6:,.1f}")
    field = layer.receptive_field
    _number(axes, SEES, middle, "all" if field is None else f"{field}×{field}", **quiet)


def _block(axes: Axes, top: float, height: float, share: float, colour: str) -> None:
    width = WIDEST * sqrt(share)
    rounding = min(0.04, width / 4, height / 4)
    axes.add_patch(
        FancyBboxPatch(
            (BLOCKS - width / 2 + rounding, top + rounding),
            width - 2 * rounding,
            height - 2 * rounding,
            boxstyle=f"round,pad={rounding}",
            facecolor=colour,
            edgecolor="none",
        )
    )


def _arrow(axes: Axes, top: float) -> None:
    axes.annotate(
        "",
        xy=(BLOCKS, top + ARROW - 0.01),
        xytext=(BLOCKS, top + 0.01),
        arrowprops={
            "arrowstyle": "-|>,head_width=0.13,head_length=0.22",
            "color": MUTED,
            "linewidth": 0.9,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )


def _name(axes: Axes, y: float, name: str, words: str) -> None:
    if not words:
        axes.text(NAMES, y, name, fontsize=SMALL, color=MUTED, va="center")
        return
    axes.text(NAMES, y - 0.085, name, fontsize=TEXT, weight="bold", va="center")
    axes.text(NAMES, y + 0.085, words, fontsize=SMALL, color=MUTED, va="center")


def _number(axes: Axes, x: float, y: float, text: str, muted: bool = False) -> None:
    axes.text(x, y, text, fontsize=SMALL, color=MUTED if muted else INK, ha="right", va="center")


def _legend_rows(layers: list[Layer]) -> list[list[str]]:
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


def _legend_width(words: str) -> float:
    return 0.2 + text_width(words, SMALL) + 0.18


def _draw_legend(axes: Axes, top: float, rows: list[list[str]]) -> None:
    for row, kinds in enumerate(rows):
        x, y = MARGIN, top + 0.22 * row
        for kind in kinds:
            words, colour = KINDS[kind]
            axes.add_patch(Rectangle((x, y - 0.06), 0.12, 0.12, facecolor=colour))
            axes.text(x + 0.2, y, words, fontsize=SMALL, va="center")
            x += _legend_width(words)
