"""The network from input to logits, drawn from the list of its layers alone."""

from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from alexnet.network.summary import Layer, totals
from alexnet.report.canvas import MARGIN, Canvas
from alexnet.report.layers import (
    GAP,
    LEGEND_ROW,
    NumberColumns,
    draw_field,
    draw_legend,
    draw_number,
    format_shape,
    kind_colour,
    legend_rows,
    operation,
    widest,
)
from alexnet.report.style import (
    FAINT,
    INK,
    MUTED,
    SMALL,
    TEXT,
    WIDTH,
    TitledFigure,
    applied,
    percent,
)

# Drawn as a slim slice under the block of the convolution, fully connected layer or pool before.
SLIM = {"relu", "lrn", "batch norm", "dropout", "flatten", "identity"}
SLICE = 0.145  # inches
ROW = 0.31  # at least, for the two lines of text beside a block
SIDE = 0.14  # the height of a map of one pixel
ARROW, HEADER, GLYPH = 0.16, 0.36, 0.24


@applied()
def architecture(
    layers: list[Layer], variant: str, input_shape: tuple[int, int, int]
) -> TitledFigure:
    """The layers from top to bottom, with shapes, parameters, operations and receptive fields.

    `input_shape` is (C, H, W). A block's width is proportional to the cube root of the number
    of maps (or features), its height to the cube root of their side. Raises ValueError for a
    layer of a kind without a colour in `style.KINDS`.
    """
    height = HEADER + _height(input_shape) + sum(map(_room, layers)) + ARROW + 0.2
    legend = legend_rows(layers)
    canvas = Canvas(
        height + 0.12 + LEGEND_ROW * len(legend),
        _title(layers, variant),
        _caption(layers, input_shape),
    )
    axes = canvas.body()
    glyphs = WIDTH - MARGIN - GLYPH
    numbers = NumberColumns(layers, input_shape, right=glyphs - 0.08)
    axes.text(MARGIN, 0.1, "layer", fontsize=SMALL, color=MUTED, va="center")
    numbers.draw_header(axes, 0.1)
    axes.plot([MARGIN, WIDTH - MARGIN], [0.22, 0.22], color=FAINT, linewidth=0.8)

    # The blocks stand between the names and the numbers.
    left, right = _names_end(layers) + GAP, numbers.left
    centre = (left + right) / 2
    largest = max(_cube_root(shape[0]) for shape in [input_shape, *_shapes(layers)])
    unit = (right - left) / largest

    y = HEADER + _height(input_shape)  # the lower edge of what is drawn so far
    _block(axes, centre, y, unit * _cube_root(input_shape[0]), _height(input_shape), INK)
    middle = y - _height(input_shape) / 2
    _name(axes, middle, "input", "image")
    draw_number(axes, numbers.ends[0], middle, format_shape(input_shape))
    for layer in layers:
        above, y = y, y + _room(layer)
        width, colour = unit * _cube_root(layer.output_shape[0]), kind_colour(layer)
        if layer.kind in SLIM:
            middle = y - SLICE / 2
            _block(axes, centre, y, width, SLICE, colour)
            axes.text(MARGIN, middle, layer.name, fontsize=SMALL, color=MUTED, va="center")
            numbers.draw(axes, middle, layer, MUTED)
        else:
            block = _height(layer.output_shape)
            middle = y - max(block, ROW) / 2
            _arrow(axes, centre, above, y - block)
            _block(axes, centre, y, width, block, colour)
            _name(axes, middle, layer.name, operation(layer))
            numbers.draw(axes, middle, layer, INK)
            field = layer.receptive_field or input_shape[1]
            draw_field(axes, glyphs, middle, GLYPH, min(1.0, field / input_shape[1]))
    _arrow(axes, centre, y, y + ARROW)
    axes.text(centre, y + ARROW + 0.09, "logits", fontsize=TEXT, ha="center", va="center")
    draw_legend(axes, height + 0.2, legend)
    return canvas.figure


def _title(layers: list[Layer], variant: str) -> str:
    total = totals(layers)
    convolutions = sum(layer.flops for layer in layers if layer.kind == "conv")
    connected = sum(layer.parameters for layer in layers if layer.kind == "fc")
    return (
        f"AlexNet, variant {variant}, as written: convolutions take "
        f"{percent(convolutions / total['flops'], 0)} of the operations, fully connected layers "
        f"{percent(connected / total['parameters'], 0)} of the parameters"
    )


def _caption(layers: list[Layer], input_shape: tuple[int, int, int]) -> str:
    total = totals(layers)
    side = input_shape[1]
    text = (
        f"Total: {total['parameters']:,} parameters and {total['flops'] / 1e6:,.0f} MFLOP for one "
        f"forward pass of an image of {format_shape(input_shape)}. A block's width follows the "
        "cube root of its number of maps or features, its height that of their side; activations, "
        "normalisation and dropout are slices beneath it. Field: the receptive field, the square "
        "of input pixels that one value depends on, drawn as a part of the image"
    )
    fields = [layer.receptive_field for layer in layers if layer.receptive_field is not None]
    if max(fields, default=0) > side:
        text += f"; a field beyond {side}×{side} extends into the padding"
    return text + "."


def _shapes(layers: list[Layer]) -> list[tuple[int, ...]]:
    return [layer.output_shape for layer in layers]


def _cube_root(number: int) -> float:
    return float(number ** (1 / 3))


def _height(shape: tuple[int, ...]) -> float:
    """Of the block of a shape (C, H, W) or (features,)."""
    return SIDE * _cube_root(shape[1] if len(shape) == 3 else 1)


def _room(layer: Layer) -> float:
    """The height that a layer takes, with the arrow to it."""
    return SLICE if layer.kind in SLIM else ARROW + max(_height(layer.output_shape), ROW)


def _names_end(layers: list[Layer]) -> float:
    tall = [layer for layer in layers if layer.kind not in SLIM]
    names = widest((layer.name for layer in layers), TEXT, bold=True)
    return MARGIN + max(names, widest(map(operation, tall), SMALL))


def _block(
    axes: Axes, centre: float, bottom: float, width: float, height: float, colour: str
) -> None:
    rounding = min(0.03, width / 4, height / 4)
    axes.add_patch(
        FancyBboxPatch(
            (centre - width / 2 + rounding, bottom - height + rounding),
            width - 2 * rounding,
            height - 2 * rounding,
            boxstyle=f"round,pad={rounding}",
            facecolor=colour,
            edgecolor="white",
            linewidth=0.6,
        )
    )


def _arrow(axes: Axes, x: float, top: float, bottom: float) -> None:
    axes.annotate(
        "",
        xy=(x, bottom - 0.01),
        xytext=(x, top + 0.01),
        arrowprops={
            "arrowstyle": "-|>,head_width=0.13,head_length=0.22",
            "color": MUTED,
            "linewidth": 0.9,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )


def _name(axes: Axes, y: float, name: str, words: str) -> None:
    axes.text(MARGIN, y - 0.08, name, fontsize=TEXT, weight="bold", va="center")
    axes.text(MARGIN, y + 0.08, words, fontsize=SMALL, color=MUTED, va="center")
