"""The classes of lowest recall, and what their images are predicted as instead."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from alexnet.report.canvas import MARGIN, Canvas, fit_names, text_width
from alexnet.report.style import (
    FAINT,
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

MAX_CLASSES = 20  # bars of recall: the lowest, where there are more classes
ABOVE, LINE, LONGEST_CLASS, BAR = 0.24, 0.27, 1.5, 2.9  # inches
NUM_CONFUSIONS = 3  # named beside a bar


@applied()
def recall_by_class(matrix: NDArray[np.int64], classes: list[str]) -> TitledFigure:
    """Counts (K, K), a row for each true class: recall as bars, the lowest first; the errors."""
    counts = matrix.sum(axis=1)
    recall = np.diag(matrix) / np.maximum(counts, 1)
    ascending = [int(k) for k in np.argsort(recall, kind="stable") if counts[k]]
    order = ascending[:MAX_CLASSES]
    names = fit_names(classes, TEXT, LONGEST_CLASS)
    left = MARGIN + max(text_width(name, TEXT) for name in ["true class", *names]) + 0.12
    others = fit_names(classes, SMALL, _room_for_errors(left) - text_width(" (10,000×)", SMALL))
    canvas = Canvas(
        ABOVE + len(order) * LINE + 0.1,
        _recall_title(ascending, recall, classes),
        _recall_caption(len(order), ascending, recall, len(classes)),
    )
    body = canvas.body()
    for x, side, heading in (
        (left - 0.1, "right", "true class"),
        (left, "left", "recall"),
        (left + BAR + 0.7, "left", "predicted instead"),
    ):
        body.text(x, 0.1, heading, fontsize=SMALL, color=MUTED, ha=side, va="center")
    for number, k in enumerate(order):
        y = ABOVE + (number + 0.5) * LINE
        body.text(left - 0.1, y, names[k], fontsize=TEXT, ha="right", va="center")
        body.barh(y, BAR, 0.15, left=left, color=FAINT)
        body.barh(y, BAR * recall[k], 0.15, left=left, color=RIGHT)
        share = percent(float(recall[k]), 1)
        body.text(left + BAR + 0.55, y, share, fontsize=TEXT, ha="right", va="center")
        _errors(body, left, y, matrix[k], k, others)
    return canvas.figure


def _recall_title(ascending: list[int], recall: NDArray[np.float64], classes: list[str]) -> str:
    lowest, highest = ascending[0], ascending[-1]
    if recall[lowest] == 1:
        return "Recall by class: every test image is classified correctly"
    if recall[lowest] == recall[highest]:
        tested = "" if len(ascending) == len(classes) else " with test images"
        return f"Recall by class: {percent(float(recall[lowest]), 1)} for every class{tested}"
    ends = []
    for word, k in (("lowest", lowest), ("highest", highest)):
        others = int((recall[ascending] == recall[k]).sum()) - 1
        name = f"{classes[k]} and {others} more" if others else classes[k]
        ends.append(f"{word} for {name} ({percent(float(recall[k]), 1)})")
    return f"Recall by class: {', '.join(ends)}"


def _recall_caption(
    num_shown: int, ascending: list[int], recall: NDArray[np.float64], num_classes: int
) -> str:
    num_measured = len(ascending)
    text = (
        "Recall: the share of a class's test images that is classified correctly. At the right: "
        "the classes that the others are predicted as, with the number of images."
    )
    if num_shown < num_measured:
        text += f" Shown are the {num_shown} classes of lowest recall, of {num_measured}."
        last, rest = ascending[num_shown - 1], ascending[num_shown:]
        if equal := int((recall[rest] == recall[last]).sum()):
            text += f" {equal} more have the recall of the last one."
    if without := num_classes - num_measured:
        text += f" Classes without test images, whose recall is not defined: {without}."
    return text


def _room_for_errors(left: float) -> float:
    return WIDTH - MARGIN - left - BAR - 0.7


def _errors(
    body: Axes, left: float, y: float, row: NDArray[np.int64], k: int, classes: list[str]
) -> None:
    """The most common wrong predictions of class `k`, as many as there is room for."""
    wrong = row.copy()
    wrong[k] = 0
    common = [int(j) for j in np.argsort(-wrong, kind="stable")[:NUM_CONFUSIONS] if wrong[j]]
    errors = [f"{classes[j]} ({wrong[j]:,}×)" for j in common]
    while len(errors) > 1 and text_width(", ".join(errors), SMALL) > _room_for_errors(left):
        errors.pop()
    words, colour = (", ".join(errors), WRONG) if errors else ("no errors", MUTED)
    body.text(left + BAR + 0.7, y, words, fontsize=SMALL, color=colour, va="center")
