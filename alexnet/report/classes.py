"""Which classes are hard, and what they are taken for."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexnet.report.page import MARGIN, Page, fit, text_width
from alexnet.report.style import (
    FAINT,
    MUTED,
    RIGHT,
    SMALL,
    TEXT,
    WIDTH,
    WRONG,
    applied,
    percent,
)

MOST = 20  # the hardest, where there are more
LINE, LONGEST_NAME, BAR = 0.27, 1.5, 2.9
COMMONEST = 3  # confusions named behind a bar


@applied()
def hardest_classes(matrix: NDArray[np.int64], classes: list[str]) -> Figure:
    """Counts (K, K), a row for each true class: recall as bars, hardest first, and the mistakes."""
    counts = matrix.sum(axis=1)
    recall = np.diag(matrix) / np.maximum(counts, 1)
    order = [int(k) for k in np.argsort(recall, kind="stable") if counts[k]][:MOST]
    names = {k: fit(classes[k], TEXT, LONGEST_NAME) for k in order}
    left = MARGIN + max(text_width(name, TEXT) for name in names.values()) + 0.12
    page = Page(len(order) * LINE + 0.1, _title(order, recall, classes), _caption(matrix, order))
    canvas = page.canvas()
    for number, k in enumerate(order):
        y = 0.05 + (number + 0.5) * LINE
        canvas.text(left - 0.1, y, names[k], fontsize=TEXT, ha="right", va="center")
        canvas.barh(y, BAR, 0.15, left=left, color=FAINT)
        canvas.barh(y, BAR * recall[k], 0.15, left=left, color=RIGHT)
        share = percent(float(recall[k]), 1)
        canvas.text(left + BAR + 0.55, y, share, fontsize=TEXT, ha="right", va="center")
        _mistakes(canvas, left + BAR + 0.7, y, matrix[k], k, classes)
    return page.figure


def _title(order: list[int], recall: NDArray[np.float64], classes: list[str]) -> str:
    hardest, easiest = order[0], order[-1]
    if recall[hardest] == 1:
        return "No class is hard: every test image is recognised"
    return (
        f"{classes[hardest].capitalize()} is the hardest class: "
        f"{percent(float(recall[hardest]), 1)} of its images are recognised; the easiest is "
        f"{classes[easiest]} with {percent(float(recall[easiest]), 1)}"
    )


def _caption(matrix: NDArray[np.int64], order: list[int]) -> str:
    text = (
        "Bars: the share of a class's test images that is recognised (recall). Behind them: what "
        "the others were most often taken for."
    )
    number = int((matrix.sum(axis=1) > 0).sum())
    return text if len(order) == number else f"{text} The {len(order)} hardest of {number} classes."


def _mistakes(
    canvas: Axes, left: float, y: float, row: NDArray[np.int64], k: int, classes: list[str]
) -> None:
    wrong = row.copy()
    wrong[k] = 0
    common = [int(j) for j in np.argsort(-wrong, kind="stable")[:COMMONEST] if wrong[j]]
    words = ", ".join(f"{classes[j]} ({wrong[j]:,}×)" for j in common)
    room = WIDTH - MARGIN - left
    if words:
        canvas.text(left, y, fit(words, SMALL, room), fontsize=SMALL, color=WRONG, va="center")
    else:
        canvas.text(left, y, "none missed", fontsize=SMALL, color=MUTED, va="center")
