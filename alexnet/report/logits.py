"""The logits of some images as bars, each with the name of its class."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alexnet.report.canvas import MARGIN, Canvas, fit_names, text_width
from alexnet.report.style import MUTED, RIGHT, SMALL, WIDTH, WRONG, TitledFigure, applied

MAX_BARS = 10  # of an image
LINE, IMAGE, GAP = 0.2, 0.9, 0.3  # inches
LONGEST_NAME = 0.75


@applied()
def logit_bars(
    images: NDArray[np.uint8],
    logits: NDArray[np.floating],
    labels: Sequence[int],
    classes: Sequence[str],
) -> TitledFigure:
    """For each image (M, H, W, C) its logits (M, K); of more than 10 classes the 10 highest."""
    num_images, num_bars = len(images), min(len(classes), MAX_BARS)
    names = fit_names(classes, SMALL, LONGEST_NAME)
    room = max(text_width(name, SMALL) for name in names) + 0.08
    width = (WIDTH - 2 * MARGIN + GAP) / num_images - GAP
    which = "of each class" if len(classes) == num_bars else f"the {num_bars} highest"
    canvas = Canvas(
        IMAGE + 0.3 + num_bars * LINE,
        f"Its output for {num_images} test image{'s' * (num_images > 1)}: the logits, {which}",
        "A softmax turns logits into probabilities: the largest one is predicted. Blue: the true "
        "class; orange: the others.",
    )
    body = canvas.body()
    low, high = min(0.0, float(logits.min())), max(0.0, float(logits.max()))
    number = max(text_width(f"{value:.1f}", SMALL) for value in (low, high)) + 0.06
    sides = 1 + (low < 0)
    inches = width - room - sides * number
    beyond = number / inches * (high - low or 1.0)  # a bar's end, for its number
    for index, label in enumerate(labels):
        left = MARGIN + index * (width + GAP)
        canvas.image(left, 0, IMAGE, images[index])
        lines = f"true: {names[label]}", f"predicted: {names[int(logits[index].argmax())]}"
        for row, words in enumerate(lines):
            y = IMAGE + 0.1 + 0.14 * row
            body.text(left, y, words, fontsize=SMALL, color=MUTED, va="center")
        top = IMAGE + 0.3
        axes = canvas.axes(left + room, top, width - room, num_bars * LINE)
        order = np.arange(num_bars)
        if len(classes) > num_bars:
            order = np.argsort(-logits[index], kind="stable")[:num_bars]
        colours = [RIGHT if k == label else WRONG for k in order]
        axes.barh(range(num_bars), logits[index, order], 0.7, color=colours)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set(
            xlim=(low - (low < 0) * beyond, high + beyond),
            ylim=(num_bars - 0.5, -0.5),
            xticks=[],
        )
        axes.set_yticks(range(num_bars), [names[k] for k in order], fontsize=SMALL)
        axes.tick_params(length=0, pad=4)
        axes.spines[:].set_visible(False)
        for place, k in enumerate(order):
            value = float(logits[index, k])
            axes.annotate(
                f"{value:.1f}", (value, place), (3 if value >= 0 else -3, 0),
                textcoords="offset points", fontsize=SMALL - 1, color=MUTED, va="center",
                ha="left" if value >= 0 else "right",
            )  # fmt: skip
    return canvas.figure
