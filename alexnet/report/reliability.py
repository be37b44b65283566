"""Calibration: accuracy against confidence."""

import numpy as np
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray

from alexnet.evaluation.metrics import calibration_error
from alexnet.report.canvas import Canvas
from alexnet.report.style import (
    BLUE,
    INK,
    MUTED,
    PAPER,
    SMALL,
    TEXT,
    VERMILLION,
    WIDTH,
    TitledFigure,
    applied,
    percent,
)

FEW = 10  # bins of fewer images are drawn hollow
LEFT, SIDE, BELOW, HISTOGRAM, BETWEEN = 1.9, 3.2, 0.44, 0.9, 0.14


@applied()
def reliability_diagram(
    correct: NDArray[np.bool_], confidence: NDArray[np.float64], num_bins: int
) -> TitledFigure:
    """Accuracy against confidence in equally wide bins, over a histogram of the confidence.

    correct, confidence: (N), of the predictions. Guo et al., arXiv 1706.04599, figure 1.
    """
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    counts = np.bincount(bins, minlength=num_bins)
    filled = np.flatnonzero(counts)
    right = np.bincount(bins, weights=correct, minlength=num_bins)[filled] / counts[filled]
    sure = np.bincount(bins, weights=confidence, minlength=num_bins)[filled] / counts[filled]

    canvas = Canvas(
        SIDE + BETWEEN + HISTOGRAM + BELOW,
        _title(correct, confidence, num_bins),
        "Each point is one bin of predictions: its mean confidence and its accuracy. A calibrated "
        "network lies on the diagonal; below it, it is overconfident, above it underconfident. "
        "Bars: the share of the test images in each bin."
        + (f" Hollow points have fewer than {FEW}." if (counts[filled] < FEW).any() else ""),
    )
    axes = canvas.axes(LEFT, 0.05, SIDE, SIDE)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    axes.vlines(sure, np.minimum(sure, right), np.maximum(sure, right), color=VERMILLION, alpha=0.5)
    axes.plot(sure, right, color=BLUE, linewidth=1.2, zorder=3)
    many = counts[filled] >= FEW
    for group, face in ((many, BLUE), (~many, PAPER)):
        axes.plot(
            sure[group], right[group], "o", color=BLUE, markerfacecolor=face, markersize=5,
            clip_on=False, zorder=4,
        )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
    axes.text(0.02, 0.96, "underconfident", fontsize=SMALL, color=MUTED, va="center")
    axes.text(0.98, 0.04, "overconfident", fontsize=SMALL, color=MUTED, va="center", ha="right")
    below = canvas.axes(LEFT, 0.05 + SIDE + BETWEEN, SIDE, HISTOGRAM)
    edges = (np.arange(num_bins) + 0.5) / num_bins
    below.bar(edges, counts / counts.sum(), width=0.9 / num_bins, color=BLUE)
    below.set(xlim=(0, 1), xlabel="confidence", ylabel="images")
    as_percent = FuncFormatter(lambda value, _: f"{100 * value:.0f} %")
    for each in (axes, below):
        each.xaxis.set_major_formatter(as_percent)
        each.xaxis.set_major_locator(MultipleLocator(0.2))
        each.yaxis.set_major_formatter(as_percent)
        each.grid(visible=True, axis="y")
        each.tick_params(length=0, axis="y")
    axes.set_xticklabels([])
    _caption(canvas, correct, confidence)
    return canvas.figure


def _title(correct: NDArray[np.bool_], confidence: NDArray[np.float64], num_bins: int) -> str:
    gap = float(confidence.mean() - correct.mean())
    error = percent(calibration_error(correct, confidence, num_bins), 1)
    if abs(gap) < 0.005:
        return (
            f"Calibration: mean confidence is close to accuracy; expected calibration error {error}"
        )
    word = "overconfident" if gap > 0 else "underconfident"
    points = f"{100 * abs(gap):.1f} percentage points"
    return f"Calibration: {word} by {points} on average; expected calibration error {error}"


def _caption(canvas: Canvas, correct: NDArray[np.bool_], confidence: NDArray[np.float64]) -> None:
    left = (LEFT + SIDE + 0.2) / WIDTH
    lines = (
        (INK, f"{percent(float(confidence.mean()))} confidence"),
        (INK, f"{percent(float(correct.mean()))} accuracy"),
        (MUTED, f"means of {len(correct):,} images"),
    )
    for number, (colour, line) in enumerate(lines):
        y = (canvas.total - canvas.top - 0.25 - number * 0.19) / canvas.total
        canvas.figure.text(left, y, line, fontsize=TEXT, color=colour)
