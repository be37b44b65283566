"""Images found by their activations: maximally activating patches, nearest neighbours."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from alexnet.report.canvas import MARGIN, Canvas, fit_names, text_width
from alexnet.report.probe import LayerPatches
from alexnet.report.style import (
    INK,
    MUTED,
    SMALL,
    TEXT,
    WIDTH,
    WRONG,
    TitledFigure,
    applied,
    percent,
)

SIDE = 3  # a channel's patches are drawn in a square of so many by so many
GAP, BLOCK_GAP = 0.02, 0.14
BELOW, ABOVE = 0.36, 0.3

NEIGHBOUR_GAP, QUERY_GAP = 0.07, 0.25
NAME = 0.2  # inches below an image


@applied()
def activating_patches(
    rows: Sequence[LayerPatches], image_size: int, num_images: int, classes: Sequence[str]
) -> TitledFigure:
    """A row for each layer: of some channels the patches of strongest activation."""
    columns = max(len(row.channels) for row in rows)
    block = (WIDTH - 2 * MARGIN + BLOCK_GAP) / columns - BLOCK_GAP
    height = ABOVE + block + BELOW
    number_of_patches = len(rows[0].channels[0].labels)
    canvas = Canvas(
        len(rows) * height,
        *_words(rows, number_of_patches, num_images),
    )
    names = fit_names(classes, SMALL, block - text_width(": 9 of 9", SMALL))
    body = canvas.body()
    for number, row in enumerate(rows):
        top = number * height
        field = f"receptive field {row.field}×{row.field} pixels"
        if row.field >= image_size:
            field += ": the whole image and its padding"
        body.text(MARGIN, top + 0.13, row.layer, fontsize=TEXT, weight="bold", va="center")
        body.text(MARGIN + 0.6, top + 0.13, field, fontsize=SMALL, color=MUTED, va="center")
        for place, channel in enumerate(row.channels):
            left = MARGIN + place * (block + BLOCK_GAP)
            side = (block + GAP) / SIDE - GAP
            for index, patch in enumerate(channel.patches):
                y, x = divmod(index, SIDE)
                at = (left + x * (side + GAP), top + ABOVE + y * (side + GAP))
                canvas.image(*at, side, patch)
            below = top + ABOVE + block + 0.12
            label, number = most_common(channel.labels)
            words = f"{names[label]}: {number} of {len(channel.labels)}"
            body.text(left + block / 2, below, words, fontsize=SMALL, ha="center", va="center")
    return canvas.figure


@applied()
def nearest_neighbours(
    images: NDArray[np.uint8],
    labels: Sequence[int],
    neighbours: NDArray[np.uint8],
    neighbour_labels: NDArray[np.int64],
    classes: Sequence[str],
    layer: str,
    num_compared: int,
    share_after: float | None = None,
) -> TitledFigure:
    """Test images (Q, H, W, C) at the left, their nearest training images (Q, k, H, W, C) beside.

    After figure 4 of the 2012 paper: nearest by Euclidean distance between activations of `layer`.
    share_after: the distance is between what the parent's convolutions give, before training;
    after it, in `layer`, so many of the neighbours are of the test image's class.
    """
    number, k = neighbours.shape[:2]
    size = (WIDTH - 2 * MARGIN - QUERY_GAP - NEIGHBOUR_GAP * k) / (k + 1)
    row = size + NAME + NEIGHBOUR_GAP
    names = fit_names(classes, SMALL, size)
    same = neighbour_labels == np.asarray(labels)[:, None]
    canvas = Canvas(
        ABOVE + number * row - NEIGHBOUR_GAP,
        *_neighbour_words(layer, k, num_compared, float(same.mean()), share_after),
    )
    body = canvas.body()
    first = MARGIN + size + QUERY_GAP
    for left, heading in ((MARGIN, "test image"), (first, "nearest training images")):
        body.text(left, 0.12, heading, fontsize=TEXT, weight="bold", va="center")
    for index in range(number):
        top = ABOVE + index * row
        canvas.image(MARGIN, top, size, images[index])
        _name(body, MARGIN, top + size, size, names[labels[index]], INK)
        for place in range(k):
            left = first + place * (size + NEIGHBOUR_GAP)
            canvas.image(left, top, size, neighbours[index, place])
            if not same[index, place]:
                body.add_patch(
                    Rectangle((left, top), size, size, fill=False, edgecolor=WRONG, linewidth=3)
                )
            name = names[neighbour_labels[index, place]]
            _name(body, left, top + size, size, name, MUTED if same[index, place] else WRONG)
    return canvas.figure


def _neighbour_words(
    layer: str, k: int, num_compared: int, share: float, share_after: float | None
) -> tuple[str, str]:
    """Title and caption."""
    framed = "" if share == 1 else " Framed: images of another class."
    if share_after is None:
        return (
            f"Nearest neighbours in {layer}: {percent(share, 0)} are of the test image's class",
            f"At the left a test image, beside it the {k} of {num_compared:,} training images "
            f"whose activations in {layer}, the last hidden layer, have the smallest Euclidean "
            "distance to its own. They resemble it in the features that decide its class, not "
            f"pixel by pixel. Below each: its true class.{framed}",
        )
    return (
        f"Nearest neighbours by the parent's convolutions alone: {percent(share, 0)} are of the "
        f"test image's class (in {layer} after training, {percent(share_after, 0)})",
        f"At the left the same test images, beside each the {k} of {num_compared:,} training "
        "images whose features before training have the smallest Euclidean distance to its own. "
        "The features are what the parent's convolutions give. Below each: its true "
        f"class.{framed}",
    )


def _words(rows: Sequence[LayerPatches], number: int, num_images: int) -> tuple[str, str]:
    """Title and caption. If all images are shown, channels and classes were not selected."""
    crop = (
        "cropped to the receptive field of that activation (grey lies outside the image). Below "
        f"each: the true class of the largest number of the {number}, or the first of equal ones"
    )
    if number == num_images:
        return (
            f"Maximally activating patches: of only {number} test images, all are shown",
            f"All {number} test images, for each channel in the order of their strongest "
            f"activation, {crop}.",
        )
    return (
        "Maximally activating patches: the commonest class of a channel has on average "
        f"{_shared(rows[0])} of them in {rows[0].layer}, {_shared(rows[-1])} in {rows[-1].layer}",
        f"Of {num_images:,} test images, the {number} with the strongest activation of each "
        f"channel, {crop}. The channels shown are those of highest selectivity: their strongest "
        "activations exceed their mean by the largest factor, and no two share an image as long as "
        "there are others. Where nearly all patches share a class, the channel detects that class "
        "or a part of it.",
    )


def most_common(labels: Sequence[int]) -> tuple[int, int]:
    """The commonest label, and how often it occurs; of several, the first."""
    return Counter(labels).most_common(1)[0]


def _shared(row: LayerPatches) -> str:
    """The share of a channel's patches that are of its commonest class, over a layer."""
    shares = [most_common(each.labels)[1] / len(each.labels) for each in row.channels]
    return percent(float(np.mean(shares)), 0)


def _name(body: Axes, left: float, bottom: float, size: float, name: str, colour: str) -> None:
    middle = left + size / 2
    body.text(middle, bottom + 0.09, name, fontsize=SMALL, color=colour, ha="center", va="center")
