"""The network from left to right as volumes drawn to scale, after the 2012 paper's figure 2."""

from itertools import pairwise

from matplotlib.axes import Axes

from alexnet.network.summary import Layer
from alexnet.report.boxes import GAP, TALLEST, TO_POOL, Box, Scale, Tensor
from alexnet.report.canvas import LEADING, MARGIN, Canvas, wrap
from alexnet.report.layers import (
    draw_legend,
    kind_colour,
    kind_name,
    legend_rows,
    operation,
    widest,
)
from alexnet.report.style import INK, KINDS, MUTED, SMALL, TEXT, WIDTH, TitledFigure, applied

DRAWN = ("conv", "fc", "max pool", "average pool")  # the other kinds keep the shape
IMAGE = "#9aa2ab"
WORDS = 0.66  # at most, for words that can be broken
LINE = SMALL * LEADING * 0.93


@applied()
def volumes(layers: list[Layer], variant: str, input_shape: tuple[int, int, int]) -> TitledFigure:
    """The tensors as boxes to scale, each with the window that one value is computed from.

    `input_shape` is (C, H, W). Maps, pixels and features have one scale each, the same in
    all boxes; bars show the three. Raises ValueError for a layer of a kind without a colour
    in `style.KINDS`.
    """
    shown = [layer for layer in layers if layer.kind in DRAWN]
    columns = _columns(shown, input_shape)
    scale = Scale.fit(columns)
    heights = _text_heights(columns)
    legend = legend_rows(shown)
    below = TALLEST + 0.3 + sum(heights)
    canvas = Canvas(below + 0.5, _title(shown, variant, input_shape), _caption(layers, shown))
    axes = canvas.body()

    spare = WIDTH - 2 * MARGIN - scale.total(columns)
    x = MARGIN
    boxes: list[Box] = []
    for column in columns:
        width = scale.width(column)
        left = x + (width - scale.drawn_width(column)) / 2
        for tensor in column:
            boxes.append(Box.at(left, tensor, scale))
            left += scale.box_width(tensor) + TO_POOL
        y = TALLEST + 0.3
        for tensor, height in zip(column, heights, strict=False):
            _label(axes, x + width / 2, y, tensor)
            y += height
        x += width + GAP + spare / (len(columns) - 1)
    boxes[0].draw(axes)
    for before, box in pairwise(boxes):
        box.draw_window(axes, before)
        box.draw(axes)
    draw_legend(axes, below + 0.36, legend)
    scale.draw(axes, below + 0.08)
    return canvas.figure


def _columns(layers: list[Layer], input_shape: tuple[int, int, int]) -> list[list[Tensor]]:
    """The input, then a column for each weighted layer and the pools after it."""
    channels, height, width = input_shape
    lines = [f"{channels} channel{'s' * (channels > 1)}", f"{height} × {width}"]
    columns = [[Tensor("input", input_shape, lines, IMAGE)]]
    for layer in layers:
        if len(layer.output_shape) == 3:
            number, height, width = layer.output_shape
            lines = [f"{number} maps", f"{height} × {width}"]
        else:
            lines = [f"{layer.output_shape[0]}"]
        words_of_layer = "dense" if layer.kind == "fc" else operation(layer)  # the paper's word
        for words in words_of_layer.split(", "):
            lines += wrap(words, SMALL, max(WORDS, widest(words.split(), SMALL)))
        tensor = Tensor(layer.name, layer.output_shape, lines, kind_colour(layer), layer)
        if layer.parameters:
            columns.append([tensor])
        else:
            columns[-1].append(tensor)
    return columns


def _text_heights(columns: list[list[Tensor]]) -> list[float]:
    """Inches of each row of labels: the first, second, ... label of all columns."""
    deepest = max(map(len, columns))
    return [
        0.3 + LINE * max(len(column[row].lines) for column in columns if row < len(column))
        for row in range(deepest)
    ]


def _label(axes: Axes, x: float, y: float, tensor: Tensor) -> None:
    axes.text(x, y, tensor.name, fontsize=TEXT, weight="bold", ha="center", va="center")
    for row, line in enumerate(tensor.lines):
        colour = INK if row < len(tensor.shape[:2]) else MUTED
        height = y + 0.16 + row * LINE
        axes.text(x, height, line, fontsize=SMALL, color=colour, ha="center", va="center")


def _title(layers: list[Layer], variant: str, input_shape: tuple[int, int, int]) -> str:
    channels, height, width = input_shape
    *_, last = (layer for layer in layers if layer.kind in ("conv", "max pool"))
    maps, rows, columns = last.output_shape
    return (
        f"AlexNet, variant {variant}: {height}×{width} pixels of {channels} "
        f"channel{'s' * (channels > 1)} become {maps} maps of {rows}×{columns}: space is traded "
        "for features"
    )


def _caption(layers: list[Layer], shown: list[Layer]) -> str:
    left_out = {kind_name(layer) for layer in layers if layer not in shown}
    names = [words for words, _ in KINDS.values() if words in left_out]
    return (
        "Drawn to scale, after figure 2 of Krizhevsky, Sutskever, Hinton (2012). The square on a "
        "box is the window, through all its maps, from which the next layer computes one value, "
        "where the lines meet; for a dense layer it is the whole box. Not drawn: "
        f"{', '.join(names)}."
    )
