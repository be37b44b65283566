"""Which images are alike to the network: neighbours in the space of its last hidden layer."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from alexnet.report.page import MARGIN, Page, fit
from alexnet.report.style import INK, MUTED, SMALL, TEXT, WIDTH, WRONG, applied, percent

GAP, APART = 0.07, 0.25  # APART: between the test image and its neighbours
ABOVE, LINE = 0.3, 0.2


@applied()
def neighbours(
    images: NDArray[np.uint8],
    labels: Sequence[str],
    nearest: NDArray[np.uint8],
    nearest_labels: Sequence[Sequence[str]],
    num_compared: int,
) -> Figure:
    """Test images (M, H, W, C) at the left, the training images (M, k, H, W, C) nearest to each.

    As figure 4 of the 2012 paper: nearest by Euclidean distance between what fc2 makes of them.
    """
    number, k = nearest.shape[:2]
    size = (WIDTH - 2 * MARGIN - APART - GAP * k) / (k + 1)
    row = size + LINE + GAP
    same = [
        sum(n == label for n in near) for label, near in zip(labels, nearest_labels, strict=True)
    ]
    page = Page(
        ABOVE + number * row - GAP,
        f"Alike to the network: {percent(sum(same) / (number * k), 0)} of these neighbours are "
        "of the test image's class",
        f"At the left a test image, beside it the {k} of {num_compared:,} training images whose "
        "values in fc2, its last hidden layer, are nearest to its own: alike in what the network "
        "sees in them, whatever their pixels. Framed: those of another class.",
    )
    canvas = page.canvas()
    canvas.text(MARGIN, 0.12, "test image", fontsize=TEXT, weight="bold", va="center")
    first = MARGIN + size + APART
    canvas.text(first, 0.12, "nearest training images", fontsize=TEXT, weight="bold", va="center")
    for index in range(number):
        top = ABOVE + index * row
        page.image(MARGIN, top, size, images[index])
        _name(canvas, MARGIN, top + size, size, labels[index], INK)
        for place in range(k):
            left = first + place * (size + GAP)
            other = nearest_labels[index][place]
            page.image(left, top, size, nearest[index, place])
            is_same = other == labels[index]
            if not is_same:
                canvas.add_patch(
                    Rectangle((left, top), size, size, fill=False, edgecolor=WRONG, linewidth=3)
                )
            _name(canvas, left, top + size, size, other, MUTED if is_same else WRONG)
    return page.figure


def _name(canvas: Axes, left: float, bottom: float, size: float, name: str, colour: str) -> None:
    words = fit(name, SMALL, size)
    middle = left + size / 2
    canvas.text(
        middle, bottom + 0.09, words, fontsize=SMALL, color=colour, ha="center", va="center"
    )
