"""The kinds of picture that the tour shows, in the style of all the others."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexnet.report.canvas import MARGIN, Canvas, text_width
from alexnet.report.style import (
    BLUE,
    FAINT,
    INK,
    MUTED,
    PAPER,
    SMALL,
    TRAINING,
    VERMILLION,
    WIDTH,
    applied,
)

GAP = 0.07
LARGEST = 1.3  # inches, of a thumbnail
ROW_GAP = 0.14
BAR_ROW = 0.2
SIGNED = LinearSegmentedColormap.from_list("below and above zero", [BLUE, PAPER, VERMILLION])

Pixels = NDArray[np.generic]


@applied()
def thumbnails(
    title: str,
    caption: str,
    rows: Sequence[tuple[str, Sequence[Pixels]]],
    names: Sequence[str] = (),
) -> Figure:
    """Rows of small pictures of one size, each row with words at its left.

    Pictures are (H, W, 3) in [0, 1], uint8 (H, W) greys, or numbers (H, W): white is zero,
    blue below and vermilion above, and full colour is the row's largest. `names` stand over
    the columns.
    """
    words = max(text_width(label, SMALL) for label, _ in rows) + 0.12
    columns = max(len(pictures) for _, pictures in rows)
    size = min(LARGEST, (WIDTH - 2 * MARGIN - words) / columns - GAP)
    header = 0.2 if names else 0.0
    canvas = Canvas(header + len(rows) * (size + ROW_GAP) - ROW_GAP, title, caption)
    body = canvas.body()
    for column, name in enumerate(names):
        x = MARGIN + words + column * (size + GAP) + size / 2
        body.text(x, 0.06, name, fontsize=SMALL, ha="center", va="center")
    for row, (label, pictures) in enumerate(rows):
        top = header + row * (size + ROW_GAP)
        body.text(MARGIN, top + size / 2, label, fontsize=SMALL, color=MUTED, va="center")
        for column, picture in enumerate(pictures):
            left = MARGIN + words + column * (size + GAP)
            _thumbnail(canvas.axes(left, top, size, size), picture, pictures)
    return canvas.figure


@applied()
def bars(
    title: str,
    caption: str,
    names: Sequence[str],
    values: dict[str, list[float]],
    digits: str = ".2g",
    most: float | None = None,
) -> Figure:
    """For each of `values` (heading: one number for each name) a column of bars from 0.

    The numbers stand behind the bars, as `digits` has it (a format). `most` is what the
    longest possible bar means; without it each column's largest number has that.
    """
    left = MARGIN + max(text_width(name, SMALL) for name in names) + 0.14
    width = (WIDTH - MARGIN - left) / len(values)
    canvas = Canvas(0.28 + BAR_ROW * len(names), title, caption)
    axes = canvas.body()
    for row, name in enumerate(names):
        axes.text(MARGIN, _middle(row), name, fontsize=SMALL, va="center")
    for column, (heading, numbers) in enumerate(values.items()):
        x = left + column * width
        axes.text(x, 0.08, heading, fontsize=SMALL, color=MUTED, va="center")
        texts = [f"{number:{digits}}" for number in numbers]
        room = width - max(text_width(text, SMALL) for text in texts) - 0.25
        for row, (number, text) in enumerate(zip(numbers, texts, strict=True)):
            length = room * number / (most or max(numbers))
            colour = (BLUE, VERMILLION)[column % 2]
            axes.barh(_middle(row), length, 0.6 * BAR_ROW, left=x, color=colour)
            axes.text(x + length + 0.06, _middle(row), text, fontsize=SMALL, va="center")
    return canvas.figure


@applied()
def curve(title: str, caption: str, x_label: str, y_label: str, values: Sequence[float]) -> Figure:
    """One value after the other, from 1 on."""
    canvas = Canvas(2.1, title, caption)
    axes = canvas.axes(0.6, 0.02, WIDTH - MARGIN - 0.6, 1.65)
    axes.plot(range(1, len(values) + 1), values, color=TRAINING)
    axes.set(xlabel=x_label, ylabel=y_label, ylim=(0, 1.05 * max(values)))
    axes.grid(True)
    return canvas.figure


@applied()
def pixels_and_numbers(title: str, caption: str, picture: Pixels, numbers: Pixels) -> Figure:
    """A picture, and beside it the numbers (H, W) that it is made of, each in its place."""
    size = 2.4
    canvas = Canvas(size, title, caption)
    left = (WIDTH - 2 * size - 0.4) / 2
    _thumbnail(canvas.axes(left, 0, size, size), picture, [picture])
    axes = canvas.axes(left + size + 0.4, 0, size, size)
    height, width = numbers.shape
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    for (row, column), number in np.ndenumerate(numbers):
        colour = INK if number else "#c3c9d0"
        where = (column + 0.5, row + 0.5)
        axes.text(*where, f"{number:.0f}", color=colour, ha="center", va="center")
    return canvas.figure


def faded(picture: NDArray[np.uint8], reached: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A grey picture (H, W) as (H, W, 3) in which the pixels that are not reached are pale."""
    grey = picture / 255
    return np.repeat(np.where(reached, grey, 0.8 + 0.15 * grey)[..., None], 3, axis=2)


def _middle(row: int) -> float:
    return 0.28 + (row + 0.5) * BAR_ROW


def _thumbnail(axes: Axes, picture: Pixels, row: Sequence[Pixels]) -> None:
    if picture.ndim == 3:
        axes.imshow(picture, interpolation="none")
    elif picture.dtype == np.uint8:
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="none")
    else:
        signed = [other for other in row if other.ndim == 2 and other.dtype != np.uint8]
        most = max(float(np.abs(other).max()) for other in signed) or 1.0
        axes.imshow(picture, cmap=SIGNED, vmin=-most, vmax=most, interpolation="none")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)
