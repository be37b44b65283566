"""What each layer makes of an image: feature maps, from the pixels to the answer."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexnet.report.page import MARGIN, Page, fit
from alexnet.report.style import (
    BLANK,
    FAINT,
    INK,
    MUTED,
    RIGHT,
    SMALL,
    TEXT,
    WIDTH,
    WRONG,
    applied,
    percent,
)

SHOWN = 16  # channels of a layer
SIDE = 4  # they stand in a square of so many by so many
GAP, BLOCK_GAP = 0.08, 0.2
ANSWERS = 1.15  # inches at the right
ABOVE = 0.42
TOP_ANSWERS = 3


@applied()
def feature_maps(
    images: NDArray[np.uint8],
    labels: Sequence[int],
    maps: Mapping[str, NDArray[np.floating]],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
) -> Figure:
    """A row for each image (M, H, W, C): its pixels, its maps layer by layer, the answer.

    `maps`: by layer (M, channels, h, w), behind the ReLU. Of each layer the 16 channels that
    tell these images apart best are shown, in the same places in every row.
    """
    size = (WIDTH - 2 * MARGIN - ANSWERS - GAP * (len(maps) + 1)) / (len(maps) + 1)
    row = size + BLOCK_GAP
    page = Page(
        ABOVE + len(images) * row - BLOCK_GAP,
        "From pixels to an answer: maps shrink, and what is left tells the classes apart",
        "Each square: the 16 channels of a layer that differ most between these images, in the "
        "same places in each row; dark is a strong answer, white none. First layers keep the "
        "picture's outlines; in the last ones a few channels answer to one kind of thing.",
    )
    canvas = page.canvas()
    chosen = {name: most_variable(values) for name, values in maps.items()}
    for column, (name, values) in enumerate(maps.items(), start=1):
        left = MARGIN + column * (size + GAP) + size / 2
        canvas.text(left, 0.1, name, fontsize=TEXT, weight="bold", ha="center", va="center")
        words = f"{values.shape[1]} of {values.shape[2]}×{values.shape[3]}"
        canvas.text(left, 0.27, words, fontsize=SMALL, color=MUTED, ha="center", va="center")
    for index, image in enumerate(images):
        top = ABOVE + index * row
        page.image(MARGIN, top, size, image)
        for column, (name, values) in enumerate(maps.items(), start=1):
            axes = page.axes(MARGIN + column * (size + GAP), top, size, size)
            _mosaic(axes, values[index, chosen[name]], values[:, chosen[name]].max(axis=(0, 2, 3)))
        left = WIDTH - MARGIN - ANSWERS + GAP
        _answers(canvas, left, top, size, probabilities[index], labels[index], classes)
    return page.figure


def most_variable(values: NDArray[np.floating]) -> list[int]:
    """The channels (in order) whose mean over the map varies most from image to image."""
    spread = values.mean(axis=(2, 3)).std(axis=0)
    return sorted(np.argsort(-spread, kind="stable")[:SHOWN].tolist())


def squared(maps: NDArray[np.floating], largest: NDArray[np.floating]) -> NDArray[np.float64]:
    """Maps (channels, h, w), each as a share of its channel's `largest`, in a square; NaN between.

    A line between two maps is as wide as a tenth of a map, a pixel at least.
    """
    number, height, width = maps.shape
    zoom = 1 if height > 4 else 4  # so that the line between small maps stays thin
    shares = maps / np.where(largest > 0, largest, 1)[:, None, None]
    shares = shares.repeat(zoom, axis=1).repeat(zoom, axis=2)
    down, right = height * zoom + 1, width * zoom + 1
    picture = np.full((SIDE * down - 1, SIDE * right - 1), np.nan)
    for index in range(number):
        top, left = index // SIDE * down, index % SIDE * right
        picture[top : top + down - 1, left : left + right - 1] = shares[index]
    return picture


def _mosaic(axes: Axes, maps: NDArray[np.floating], largest: NDArray[np.floating]) -> None:
    axes.imshow(
        np.ma.masked_invalid(squared(maps, largest)),
        cmap=BLANK, vmin=0, vmax=1,
        interpolation="none", aspect="auto",
    )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, color=FAINT)


def _answers(
    canvas: Axes, left: float, top: float, size: float,
    probabilities: NDArray[np.floating], label: int, classes: Sequence[str],
) -> None:  # fmt: skip
    """The most probable classes as bars; the image's own in one colour, others in another."""
    room = WIDTH - MARGIN - left
    line = size / TOP_ANSWERS
    for place, k in enumerate(np.argsort(-probabilities, kind="stable")[:TOP_ANSWERS]):
        y = top + place * line
        colour = RIGHT if k == label else WRONG
        share = percent(float(probabilities[k]), 0)
        canvas.text(left, y + 0.07, fit(classes[k], SMALL, room - 0.4), fontsize=SMALL, va="center")
        canvas.text(
            left + room, y + 0.07, share, fontsize=SMALL, va="center", ha="right", color=INK
        )
        canvas.barh(
            y + 0.18, room * float(probabilities[k]), 0.06, left=left, color=colour, align="center"
        )
