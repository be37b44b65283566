"""The confusion matrix."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from numpy.typing import NDArray

from alexnet.report.canvas import MARGIN, Canvas, fit_names, text_width
from alexnet.report.style import (
    FAINT,
    INK,
    MUTED,
    ON_DEEP,
    ON_PALE,
    PAPER,
    RIGHT,
    SMALL,
    TEXT,
    WIDTH,
    WRONG,
    TitledFigure,
    applied,
    percent,
    shades,
)

MAX_CELLS_WITH_TEXT = 20  # classes
LONGEST_NAME = 1.3  # inches
LISTED = 15  # confusions written out, in columns, where the cells are too small for text
LIST_COLUMNS, LIST_LINE = 3, 0.19
SCALE_WIDTH = 0.95
# An error is usually a few percent of a class: on a square-root scale it shows.
SCALE = PowerNorm(0.5, vmin=0, vmax=1)


@dataclass(frozen=True)
class MatrixLayout:
    """Where the picture has the matrix, in inches, and which classes it labels."""

    names: list[str]
    left: float
    side: float
    step: int
    is_upright: bool  # the labels of the columns
    below: float
    height: float

    @classmethod
    def of(cls, classes: list[str]) -> "MatrixLayout":
        names = fit_names(classes, SMALL, LONGEST_NAME)
        name_width = max(text_width(name, SMALL) for name in names)
        left = MARGIN + 0.25 + name_width + 0.1
        side = min(WIDTH - left - SCALE_WIDTH, max(2.5, 0.62 * len(classes)))
        step = max(1, round(len(classes) * SMALL * 1.25 / 72 / side + 0.49))
        is_upright = name_width > 0.9 * side / len(classes)
        deepest = max(text_width(name, SMALL) for name in names[::step]) if is_upright else 0.12
        below = side + 0.1 + deepest + 0.3
        listed = 0.5 + LIST_LINE * LISTED / LIST_COLUMNS
        height = below + (listed if len(classes) > MAX_CELLS_WITH_TEXT else 0.0)
        return cls(names, left, side, step, is_upright, below, height)

    @property
    def ticks(self) -> list[int]:
        return list(range(0, len(self.names), self.step))


@applied()
def matrix_box(classes: list[str]) -> tuple[float, float, float, float]:
    """Left, top, width and height of the matrix, as shares of the picture's without its words."""
    layout = MatrixLayout.of(classes)
    left, top = Canvas.shares(layout.height, layout.left, 0)
    right, bottom = Canvas.shares(layout.height, layout.left + layout.side, layout.side)
    return left, top, right - left, bottom - top


@applied()
def confusion_matrix(matrix: NDArray[np.int64], classes: list[str]) -> TitledFigure:
    """Counts (K, K), one row per true class, one column per prediction.

    Cells are coloured by their share of the row. Up to 20 classes each cell holds its count
    and its percentage; beyond that the largest confusions are listed below the matrix.
    """
    assert matrix.shape == (len(classes), len(classes))
    layout = MatrixLayout.of(classes)
    left, side, step, below = layout.left, layout.side, layout.step, layout.below
    ticks, is_upright = layout.ticks, layout.is_upright
    labels = [layout.names[index] for index in ticks]
    has_text = len(classes) <= MAX_CELLS_WITH_TEXT

    canvas = Canvas(layout.height, _title(matrix, classes), _caption(matrix, step))
    axes = canvas.axes(left, 0, side, side)
    _cells(axes, matrix)
    if has_text:
        _write_cells(axes, matrix, side / len(classes))
    axes.set_xticks(ticks, labels, rotation=90 if is_upright else 0, fontsize=SMALL)
    axes.set_yticks(ticks, labels, fontsize=SMALL)
    axes.tick_params(length=0 if step == 1 else 2, pad=4, labelcolor=INK)
    body = canvas.body()
    muted: dict[str, Any] = {"color": MUTED, "ha": "center", "va": "center", "fontsize": TEXT}
    body.text(left + side / 2, below - 0.12, "predicted class", **muted)
    body.text(MARGIN + 0.08, side / 2, "true class", rotation=90, **muted)
    _scale(canvas, left + side + 0.2, side)
    if not has_text:
        _list(body, below + 0.25, matrix, classes)
    return canvas.figure


def shares(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each row divided by its sum; a class without images stays all zero."""
    return np.asarray(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1))


def confusions(matrix: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(true, predicted, count) of every confusion that occurs, the largest first."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[: np.count_nonzero(wrong)]
    rows, columns = np.unravel_index(order, wrong.shape)
    return [(int(i), int(j), int(wrong[i, j])) for i, j in zip(rows, columns, strict=True)]


def _title(matrix: NDArray[np.int64], classes: list[str]) -> str:
    total = int(matrix.sum())
    accuracy = percent(np.trace(matrix) / max(total, 1), 2)
    pairs = confusions(matrix)
    if not pairs:
        return f"Confusion matrix: accuracy {accuracy}, no class is confused with another"
    true, predicted, count = pairs[0]
    row = int(matrix[true].sum())
    equal = sum(each == count for *_, each in pairs)
    which = f"one of the {equal} largest confusions" if equal > 1 else "the largest confusion"
    if len(pairs) == 1:
        which = "the only confusion"
    return (
        f"Confusion matrix: accuracy {accuracy}; {which} is true: {classes[true]}, "
        f"predicted: {classes[predicted]} ({count:,} of {row:,})"
    )


def _caption(matrix: NDArray[np.int64], step: int) -> str:
    text = (
        "Each row holds the test images of one class: blue is the share classified correctly "
        "(recall)"
        + (", orange the shares predicted as other classes" if confusions(matrix) else "")
        + ". Colours are on a square-root scale, so that rare errors show."
    )
    if without := int((matrix.sum(axis=1) == 0).sum()):
        text += f" Empty rows are classes without test images: {without}."
    return text if step == 1 else f"{text} One class in {step} is labelled."


def _cells(axes: Axes, matrix: NDArray[np.int64]) -> None:
    share = shares(matrix)
    on_diagonal = np.eye(len(share), dtype=bool)
    colours = np.where(
        on_diagonal[..., None], shades(RIGHT)(SCALE(share)), shades(WRONG)(SCALE(share))
    )
    colours[matrix == 0, 3] = 0.0  # an empty cell is the page's own ground, light or dark
    axes.imshow(colours, interpolation="none")
    axes.set_xticks(np.arange(1, len(share)) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, len(share)) - 0.5, minor=True)
    if len(share) <= MAX_CELLS_WITH_TEXT:
        axes.grid(which="minor", axis="both", color=PAPER, linewidth=1.5)
        axes.spines[:].set_visible(False)
    else:
        axes.spines[:].set(visible=True, color=FAINT)
    axes.tick_params(which="minor", length=0)


def _write_cells(axes: Axes, matrix: NDArray[np.int64], cell: float) -> None:
    """Count and, where the cell has room for a second line, percentage of the row."""
    share = shares(matrix)
    widest = f"{matrix.max():,}"
    size = min(TEXT, TEXT * 0.8 * cell / text_width(widest, TEXT))
    two_lines = cell >= 0.42
    up, down = 0.08 / cell, 0.11 / cell
    for (i, j), count in np.ndenumerate(matrix):
        if count == 0:
            continue
        # On the square-root scale, where the ground is dark: white is the legible ink.
        colour = ON_DEEP if share[i, j] > (0.35 if i == j else 0.45) else ON_PALE
        centred: dict[str, Any] = {"ha": "center", "va": "center", "color": colour}
        if two_lines:
            axes.text(j, i - up, f"{count:,}", fontsize=size, **centred)
            axes.text(j, i + down, f"{100 * share[i, j]:.0f} %", fontsize=size * 0.75, **centred)
        else:
            axes.text(j, i, f"{count:,}", fontsize=size, **centred)


def _scale(canvas: Canvas, left: float, side: float) -> None:
    """Both colour scales side by side, with the shares at their heights."""
    height = min(side, 2.4)
    axes = canvas.axes(left, (side - height) / 2, 0.24, height)
    steps = np.linspace(0, 1, 256)[:, None]
    colours = np.concatenate([shades(RIGHT)(steps), shades(WRONG)(steps)], axis=1)
    axes.imshow(
        colours, origin="lower", aspect="auto", extent=(0, 2, 0, 1), interpolation="nearest"
    )
    ticks = [0, 0.01, 0.05, 0.2, 0.5, 1.0]
    axes.yaxis.tick_right()
    axes.set_yticks([float(SCALE(tick)) for tick in ticks], [percent(t, 0) for t in ticks])
    axes.tick_params(length=0, labelsize=SMALL)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)


def _list(axes: Axes, top: float, matrix: NDArray[np.int64], classes: list[str]) -> None:
    """The largest confusions in words, column by column."""
    if not confusions(matrix):
        return
    axes.text(
        MARGIN,
        top,
        "Largest confusions: true → predicted class",
        fontsize=TEXT,
        weight="bold",
        va="center",
    )
    width = (WIDTH - 2 * MARGIN) / LIST_COLUMNS
    names = fit_names(classes, SMALL, (width - 0.45 - text_width(" → ", SMALL)) / 2)
    for index, (true, predicted, count) in enumerate(confusions(matrix)[:LISTED]):
        column, row = divmod(index, LISTED // LIST_COLUMNS)
        left = MARGIN + column * width
        y = top + 0.25 + row * LIST_LINE
        axes.text(left + 0.24, y, f"{count:,}", fontsize=SMALL, ha="right", va="center")
        words = f"{names[true]} → {names[predicted]}"
        axes.text(left + 0.32, y, words, fontsize=SMALL, va="center")
