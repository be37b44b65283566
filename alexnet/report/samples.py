"""Images of the data: augmented training images, and the mistakes of highest confidence."""

from collections.abc import Sequence
from math import cos, radians, sin

import numpy as np
from numpy.typing import NDArray

from alexnet.report.canvas import MARGIN, Canvas, fit_names, text_width
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

Images = NDArray[np.uint8]

MOST_COLUMNS = 12
LABELS = 0.65  # inches at the left for the names of the rows
GAP = 0.06
LARGEST = 1.0  # inches, of an image

MISTAKE_COLUMNS, FOR_LONG_NAMES = 6, 4
MISTAKE_GAP = 0.14
LONGEST_NAME = 1.4  # inches, of a class name above a column


@applied()
def training_samples(
    images: Images,
    augmented: Images,
    labels: NDArray[np.int64],
    classes: list[str],
    augmentation: str,
) -> TitledFigure:
    """Images (N, H, W, C) over their augmented versions (A, N, H, W, C) of A epochs.

    `labels` (N) index `classes`. `augmentation`: the transforms in words, "" for none.
    Rare ones may have left these images as they were.
    """
    number, num_versions = len(images), len(augmented)
    columns = min(number, MOST_COLUMNS)
    fitting = fit_names(classes, SMALL, LONGEST_NAME)
    names = [fitting[label] for label in labels]
    longest = max(text_width(name, SMALL) for name in names)

    room = WIDTH - LABELS - 2 * MARGIN
    size = min(LARGEST, room / columns - GAP)
    # Names are horizontal if they all fit above their images, else slanted.
    angle = 0 if longest <= size else 45
    lean = radians(angle)
    overhang = longest * cos(lean) - size / 2 if angle else 0.0
    size = min(size, (room - max(0.0, overhang)) / columns - GAP)
    header = 0.2 + longest * sin(lean)
    band = header + (1 + num_versions) * (size + GAP)
    bands = -(-number // columns)

    canvas = Canvas(
        bands * band,
        "Data augmentation: training images as training sees them"
        if augmentation
        else "Training images, without augmentation",
        "Top row: the original images. Below: their versions in "
        + ("the only epoch" if num_versions == 1 else f"the first {num_versions} epochs")
        + f" of training ({augmentation})."
        if augmentation
        else "",
    )
    body = canvas.body()
    for index in range(number):
        left = MARGIN + LABELS + index % columns * (size + GAP)
        top = index // columns * band + header
        body.text(
            left + (size / 2 if not angle else size * 0.35), top - 0.05, names[index],
            fontsize=SMALL, rotation=angle, rotation_mode="anchor",
            ha="left" if angle else "center", va="baseline",
        )  # fmt: skip
        for row, image in enumerate([images[index], *(version[index] for version in augmented)]):
            canvas.image(left, top + row * (size + GAP), size, image)
    for start in range(bands):
        for row in range(1 + num_versions):
            y = start * band + header + row * (size + GAP) + size / 2
            name = "original" if row == 0 else f"epoch {row}"
            body.text(MARGIN, y, name, color=INK if row == 0 else MUTED, fontsize=TEXT, va="center")
    return canvas.figure


@applied()
def mistakes(
    images: Images,
    actual: Sequence[int],
    predicted: Sequence[int],
    confidence: Sequence[float],
    classes: list[str],
    num_mistakes: int,
) -> TitledFigure:
    """Misclassified images (M, H, W, C), in the order given, of `num_mistakes`; M may be 0.

    `actual`, `predicted` (M) index `classes`.
    """
    number = len(images)
    if number == 0:
        return _no_mistakes()
    columns = MISTAKE_COLUMNS
    shown = [classes[k] for k in (*actual, *predicted)]
    if max(text_width(f"predicted: {name}", SMALL) for name in shown) > _room(columns):
        columns = FOR_LONG_NAMES
    room = _room(columns)
    names = fit_names(classes, SMALL, room - text_width("predicted: ", SMALL))
    line = SMALL * 1.35 / 72
    words = 3 * line + 0.04
    cell = words + room + 0.14
    canvas = Canvas(
        -(-number // columns) * cell - 0.14,
        _mistakes_title(number, num_mistakes),
        "Above each test image: its true class, as labelled, the predicted class in colour, and "
        "the confidence of the prediction. A label may be doubtful itself.",
    )
    body = canvas.body()
    for index in range(number):
        left = MARGIN + index % columns * (room + MISTAKE_GAP)
        top = index // columns * cell
        lines = (
            (f"true: {names[actual[index]]}", INK),
            (f"predicted: {names[predicted[index]]}", WRONG),
            (percent(confidence[index], 0), MUTED),
        )
        for row, (text, colour) in enumerate(lines):
            y = top + (row + 0.5) * line
            body.text(left, y, text, color=colour, fontsize=SMALL, va="center")
        canvas.image(left, top + words, room, images[index])
    return canvas.figure


def _room(columns: int) -> float:
    """Inches for each of `columns` images side by side."""
    return (WIDTH - 2 * MARGIN + MISTAKE_GAP) / columns - MISTAKE_GAP


def _mistakes_title(number: int, num_mistakes: int) -> str:
    if number < num_mistakes:
        which = "mistake" if number == 1 else f"{number} mistakes"
        return f"The {which} of highest confidence, of {num_mistakes:,}"
    return "The only mistake" if number == 1 else f"All {number} mistakes, by confidence"


def _no_mistakes() -> TitledFigure:
    canvas = Canvas(0.6, "No mistakes")
    canvas.body().text(
        MARGIN, 0.25, "Every test image was classified correctly.", fontsize=TEXT, va="center"
    )
    return canvas.figure
