"""Images as the network meets them: what training sees, and what it got wrong."""

from math import cos, radians, sin

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexnet.report.page import MARGIN, Page, fit, text_width
from alexnet.report.style import INK, MUTED, SMALL, TEXT, WIDTH, WRONG, applied, percent

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
    done: str,
) -> Figure:
    """`images` (N, H, W, C) over `augmented` (A, N, H, W, C): the same in A draws of training.

    `labels` (N) index `classes`. `done`: what training does to them, of `augmentation.in_words`.
    """
    number, draws = len(images), len(augmented)
    changed = any(not np.array_equal(draw, images) for draw in augmented)
    columns = min(number, MOST_COLUMNS)
    names = [fit(classes[label], SMALL, LONGEST_NAME) for label in labels]
    longest = max(text_width(name, SMALL) for name in names)

    room = WIDTH - LABELS - 2 * MARGIN
    size = min(LARGEST, room / columns - GAP)
    # Names stand upright on their images if they all fit, else they lean to the right.
    angle = 0 if longest <= size else 45
    lean = radians(angle)
    overhang = longest * cos(lean) - size / 2 if angle else 0.0
    size = min(size, (room - max(0.0, overhang)) / columns - GAP)
    header = 0.2 + longest * sin(lean)
    band = header + (1 + draws) * (size + GAP)
    bands = -(-number // columns)

    page = Page(
        bands * band,
        "What training sees: the same images, drawn anew in every epoch"
        if changed
        else "What training sees: the images as they are, without augmentation",
        f"Top row: the images as they are. Below: how training meets them, {done}. So "
        "it never sees quite the same image twice."
        if changed
        else "",
    )
    canvas = page.canvas()
    for index in range(number):
        left = MARGIN + LABELS + index % columns * (size + GAP)
        top = index // columns * band + header
        canvas.text(
            left + (size / 2 if not angle else size * 0.35), top - 0.05, names[index],
            fontsize=SMALL, rotation=angle, rotation_mode="anchor",
            ha="left" if angle else "center", va="baseline",
        )  # fmt: skip
        for row, image in enumerate([images[index], *(draw[index] for draw in augmented)]):
            page.image(left, top + row * (size + GAP), size, image)
    for start in range(bands):
        for row in range(1 + draws):
            y = start * band + header + row * (size + GAP) + size / 2
            name = "as it is" if row == 0 else f"draw {row}"
            canvas.text(
                MARGIN, y, name, color=INK if row == 0 else MUTED, fontsize=TEXT, va="center"
            )
    return page.figure


@applied()
def mistakes(
    images: Images, actual: list[str], predicted: list[str], confidence: list[float]
) -> Figure:
    """Images (M, H, W, C) that were classified wrongly, in the order given; M may be 0."""
    number = len(images)
    if number == 0:
        return _no_mistakes()
    answers = [f"{name}," for name in predicted]
    labels = [f"not {name}" for name in actual]
    longest = max(
        *(text_width(answer, TEXT, bold=True) for answer in answers),
        *(text_width(label, TEXT) for label in labels),
    )
    columns, room = MISTAKE_COLUMNS, _room(MISTAKE_COLUMNS)
    if longest > room:
        columns, room = FOR_LONG_NAMES, _room(FOR_LONG_NAMES)
    line = TEXT * 1.35 / 72
    words = 3 * line + 0.04
    cell = words + room + 0.14
    page = Page(
        -(-number // columns) * cell - 0.14,
        "The most confident mistake" if number == 1 else f"The {number} most confident mistakes",
        "In colour: the network's answer, with its confidence. In black: the label. "
        "Some labels are open to doubt; most mistakes tell what the network looks at.",
    )
    canvas = page.canvas()
    for index in range(number):
        left = MARGIN + index % columns * (room + MISTAKE_GAP)
        top = index // columns * cell
        answer = fit(answers[index], TEXT, room, bold=True)
        label = fit(labels[index], TEXT, room)
        y = top + line / 2
        canvas.text(left, y, answer, color=WRONG, weight="bold", fontsize=TEXT, va="center")
        canvas.text(left, y + line, label, fontsize=TEXT, va="center")
        sure = percent(confidence[index], 0)
        canvas.text(left, y + 2 * line, sure, color=WRONG, fontsize=SMALL, va="center")
        page.image(left, top + words, room, images[index])
    return page.figure


def _room(columns: int) -> float:
    """Inches for one of that many mistakes side by side."""
    return (WIDTH - 2 * MARGIN + MISTAKE_GAP) / columns - MISTAKE_GAP


def _no_mistakes() -> Figure:
    page = Page(0.6, "No mistakes")
    page.canvas().text(
        MARGIN, 0.25, "Every test image was classified correctly.", fontsize=TEXT, va="center"
    )
    return page.figure
