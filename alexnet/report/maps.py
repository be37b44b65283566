"""Activations as pictures: feature maps of several layers side by side, and of a single layer."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from alexnet.report.canvas import MARGIN, Canvas, fit_names
from alexnet.report.style import (
    BLANK,
    DIVERGING,
    FAINT,
    INK,
    MUTED,
    RIGHT,
    SMALL,
    TEXT,
    WIDTH,
    WRONG,
    TitledFigure,
    applied,
    percent,
)

NUM_CHANNELS = 16  # of a layer
SIDE = 4  # they are drawn in a square of so many by so many
GAP, BLOCK_GAP, LAYER_GAP = 0.08, 0.2, 0.1
PREDICTIONS, SHARE = 1.15, 0.4  # inches at the right; of them, for a probability
ABOVE = 0.42
LARGEST = 2.4  # inches, of an image of a single layer
TOP_CLASSES = 3


@applied()
def feature_maps(
    images: NDArray[np.uint8],
    labels: Sequence[int],
    maps: Mapping[str, NDArray[np.floating]],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
) -> TitledFigure:
    """A row for each image (M, H, W, C): its pixels, its maps layer by layer, the prediction.

    `maps`: by layer (M, channels, h, w), such as relu1. Of each layer the 16 channels whose
    mean has the largest variance between these images are shown, in the same order in every row.
    """
    size = (WIDTH - 2 * MARGIN - PREDICTIONS - GAP * (len(maps) + 1)) / (len(maps) + 1)
    row = size + BLOCK_GAP
    names = fit_names(classes, SMALL, PREDICTIONS - GAP - SHARE)
    canvas = Canvas(
        ABOVE + len(images) * row - BLOCK_GAP,
        _title(maps),
        "At the left the test image, at the right its true class and the predicted probabilities. "
        f"Each square between shows {NUM_CHANNELS} channels of a layer"
        + (
            ", those whose mean activation has the largest variance between these images, in the "
            "same order in each row"
            if len(images) > 1
            else ""
        )
        + "; dark is a strong activation, white is none. The first layers keep the outlines of "
        "the image; in the last ones of a trained network few channels respond to each kind of "
        "object.",
    )
    body = canvas.body()
    chosen = {name: most_variable(values) for name, values in maps.items()}
    for column, (name, values) in enumerate(maps.items(), start=1):
        left = MARGIN + column * (size + GAP) + size / 2
        body.text(left, 0.1, name, fontsize=TEXT, weight="bold", ha="center", va="center")
        words = f"{values.shape[1]} of {values.shape[2]}×{values.shape[3]}"
        body.text(left, 0.27, words, fontsize=SMALL, color=MUTED, ha="center", va="center")
    for index, image in enumerate(images):
        top = ABOVE + index * row
        canvas.image(MARGIN, top, size, image)
        for column, (name, values) in enumerate(maps.items(), start=1):
            axes = canvas.axes(MARGIN + column * (size + GAP), top, size, size)
            largest = values[:, chosen[name]].max(axis=(0, 2, 3))
            _heat(axes, tile_maps(values[index, chosen[name]], largest))
        left = WIDTH - MARGIN - PREDICTIONS + GAP
        _prediction(body, left, top, size, probabilities[index], labels[index], names)
    return canvas.figure


def _title(maps: Mapping[str, NDArray[np.floating]]) -> str:
    (first, before), *_, (last, after) = maps.items()
    return (
        f"Feature maps, layer by layer: from {before.shape[2]}×{before.shape[3]} in {first} to "
        f"{after.shape[2]}×{after.shape[3]} in {last}"
    )


@applied()
def layer_maps(images: NDArray[np.uint8], values: NDArray[np.floating]) -> TitledFigure:
    """A layer's outputs for images (M, H, W, C): values (M, C, h, w) or (M, features).

    Of maps the 16 channels of largest variance; features row by row in a square. Negative
    values, which a ReLU has none of, have colours of their own.
    """
    number = len(images)
    size = min(LARGEST, (WIDTH - 2 * MARGIN + LAYER_GAP) / number - LAYER_GAP)
    half = size * 0.36
    is_flat = values.ndim == 2
    words = (
        f"{values.shape[1]:,} values, row by row in a square"
        if is_flat
        else f"{min(NUM_CHANNELS, values.shape[1])} of {values.shape[1]} maps of "
        f"{values.shape[2]}×{values.shape[3]}"
    )
    is_signed = bool((values < 0).any())
    colours = "blue: negative, white: 0, orange to brown: positive"
    if not is_signed:
        colours = "none is negative; white: 0, dark: largest"
    title = f"Its output for {number} test image{'s' * (number > 1)}: {words} ({colours})"
    canvas = Canvas(half + LAYER_GAP + size, title)
    chosen = [] if is_flat else most_variable(values)
    size_of = np.abs(values if is_flat else values[:, chosen])
    largest = size_of.max(axis=0 if is_flat else (0, 2, 3))
    for index, image in enumerate(images):
        left = MARGIN + index * (size + LAYER_GAP)
        canvas.image(left + (size - half) / 2, 0, half, image)
        picture = (
            as_square(values[index] / max(float(largest.max()), 1e-12))
            if is_flat
            else tile_maps(values[index, chosen], largest)
        )
        _heat(canvas.axes(left, half + LAYER_GAP, size, size), picture, is_signed)
    return canvas.figure


def most_variable(values: NDArray[np.floating]) -> list[int]:
    """The channels (in order) whose mean over the map has the largest variance over the images."""
    deviation = values.mean(axis=(2, 3)).std(axis=0)
    return sorted(np.argsort(-deviation, kind="stable")[:NUM_CHANNELS].tolist())


def tile_maps(maps: NDArray[np.floating], largest: NDArray[np.floating]) -> NDArray[np.float64]:
    """Maps (channels, h, w), each as a share of its channel's `largest`, in a square; NaN between.

    A line between two maps is as wide as a tenth of a map, a pixel at least.
    """
    number, height, width = maps.shape
    enlargement = 1 if height > 4 else 4  # so that the line between small maps stays thin
    shares = maps / np.where(largest > 0, largest, 1)[:, None, None]
    shares = shares.repeat(enlargement, axis=1).repeat(enlargement, axis=2)
    down, right = height * enlargement + 1, width * enlargement + 1
    picture = np.full((SIDE * down - 1, SIDE * right - 1), np.nan)
    for index in range(number):
        top, left = index // SIDE * down, index % SIDE * right
        picture[top : top + down - 1, left : left + right - 1] = shares[index]
    return picture


def as_square(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Values (features) in the smallest square that holds them, NaN where none is left."""
    side = int(np.ceil(np.sqrt(len(values))))
    picture = np.full(side * side, np.nan)
    picture[: len(values)] = values
    return picture.reshape(side, side)


def _heat(axes: Axes, picture: NDArray[np.float64], is_signed: bool = False) -> None:
    axes.imshow(
        np.ma.masked_invalid(picture), cmap=DIVERGING if is_signed else BLANK,
        vmin=-1 if is_signed else 0, vmax=1, interpolation="none", aspect="auto",
    )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, color=FAINT)


def _prediction(
    body: Axes, left: float, top: float, size: float,
    probabilities: NDArray[np.floating], label: int, names: Sequence[str],
) -> None:  # fmt: skip
    """The true class, and the likeliest ones as bars: the true one in a colour of its own."""
    room = WIDTH - MARGIN - left
    line = size / (TOP_CLASSES + 1)
    body.text(left, top + 0.07, f"true: {names[label]}", fontsize=SMALL, va="center", color=MUTED)
    for place, k in enumerate(np.argsort(-probabilities, kind="stable")[:TOP_CLASSES]):
        y = top + (place + 1) * line
        share = percent(float(probabilities[k]), 0)
        body.text(left, y + 0.07, names[k], fontsize=SMALL, va="center")
        body.text(left + room, y + 0.07, share, fontsize=SMALL, va="center", ha="right", color=INK)
        colour = RIGHT if k == label else WRONG
        body.barh(y + 0.18, room * float(probabilities[k]), 0.06, left=left, color=colour)
