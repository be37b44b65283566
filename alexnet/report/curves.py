"""Training curves: loss, accuracy and learning rate over the epochs."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from alexnet.report.canvas import MARGIN, Canvas
from alexnet.report.stability import spread_apart
from alexnet.report.style import (
    DPI,
    FAINT,
    INK,
    MUTED,
    PAPER,
    TEXT,
    TRAINING,
    VALIDATION,
    WIDTH,
    applied,
    percent,
)

# One mapping per epoch: epoch (from 1), learning_rate, train_loss, train_accuracy,
# val_loss, val_accuracy.
History = Sequence[Mapping[str, float]]

HEIGHT = 3.1
LEFT, RIGHT, BOTTOM = 0.72, 1.45, 0.44  # inches around the axes; labels stand at the right
LONG_RIGHT = 2.45
FEW_EPOCHS = 20  # up to here each epoch gets a marker
SPLITS = {"train": "training", "val": "validation"}
COLOURS = {"training": TRAINING, "validation": VALIDATION, "final": INK}
FROM_NOTHING, DASHES = ", from nothing", (0, (4, 2))

TRAINING_NOTE = (
    "Training figures are means over the epoch, while the weights change, with any augmentation "
    "and dropout. Validation follows each epoch, without them. Training may therefore look worse "
    "than validation. Ring: the best validation epoch."
)
DASHED = " Dashed: the same parameters, from nothing: all layers train, at the whole rates."
LOSS_NOTE = TRAINING_NOTE + (" Label smoothing, if any, is part of the training loss only.")


@applied()
def loss_curves(history: History, from_nothing: History = (), note: str = "") -> Figure:
    """Training and validation loss over the epochs; the lowest validation loss is ringed.

    from_nothing: of the same training without the weights that it started from, drawn dashed.
    note: the end of the caption.
    """
    best = min(_checked(history), key=lambda row: row["val_loss"])
    title = f"Loss: lowest validation loss {best['val_loss']:.3f} in epoch {int(best['epoch'])}"
    if from_nothing:
        title += f"; from nothing {min(row['val_loss'] for row in from_nothing):.3f}"
    canvas = Canvas(HEIGHT, title, LOSS_NOTE + (DASHED if from_nothing else "") + note)
    axes = _axes(canvas, history, "loss (cross-entropy)", LONG_RIGHT if from_nothing else RIGHT)
    ends = _lines(axes, history, from_nothing, "loss")
    _ring(axes, best["epoch"], best["val_loss"])
    axes.margins(y=0.08)
    _label_ends(axes, {name: f"{name} {value:.3f}" for name, value in ends.items()}, ends)
    return canvas.figure


@applied()
def accuracy_curves(history: History, from_nothing: History = (), note: str = "") -> Figure:
    """Training and validation accuracy over the epochs; the best validation epoch is ringed.

    from_nothing, note: as in `loss_curves`.
    """
    best = max(_checked(history), key=lambda row: row["val_accuracy"])
    title = (
        f"Accuracy: best validation accuracy {percent(best['val_accuracy'], 2)} in epoch "
        f"{int(best['epoch'])}"
    )
    if from_nothing:
        title += f"; from nothing {percent(max(row['val_accuracy'] for row in from_nothing), 2)}"
    canvas = Canvas(HEIGHT, title, TRAINING_NOTE + (DASHED if from_nothing else "") + note)
    axes = _axes(canvas, history, "accuracy", LONG_RIGHT if from_nothing else RIGHT)
    ends = _lines(axes, history, from_nothing, "accuracy")
    _ring(axes, best["epoch"], best["val_accuracy"])
    axes.margins(y=0.08)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 1.02))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    _label_ends(axes, {name: f"{name} {percent(value)}" for name, value in ends.items()}, ends)
    return canvas.figure


@applied()
def learning_rate(history: History) -> Figure:
    """The learning rate of each epoch's last step."""
    peak = max(_checked(history), key=lambda row: row["learning_rate"])
    title = (
        f"Learning rate: highest {peak['learning_rate']:.3g} in epoch {int(peak['epoch'])}, taken "
        "at the last step of each epoch"
    )
    canvas = Canvas(HEIGHT * 0.7, title)
    axes = _axes(canvas, history, "learning rate")
    end = _line(axes, history, "learning_rate", INK)
    epochs = [row["epoch"] for row in history]
    axes.fill_between(epochs, [row["learning_rate"] for row in history], color=FAINT, linewidth=0)
    axes.set_ylim(0, peak["learning_rate"] * 1.1 or 1.0)
    _label_ends(axes, {"final": f"final {end:.2g}"}, {"final": end})
    return canvas.figure


def _checked(history: History) -> History:
    if not history:
        raise ValueError("the history has no epochs to draw")
    return history


def _axes(canvas: Canvas, history: History, label: str, right: float = RIGHT) -> Axes:
    width = WIDTH - LEFT - right
    axes = canvas.axes(LEFT, 0.05, width, canvas.height - 0.05 - BOTTOM)
    first, last = history[0]["epoch"], history[-1]["epoch"]
    room = 0.03 * (last - first) or 0.5
    axes.set_xlim(first - min(room, 0.5), last + room)  # there is no epoch 0
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.yaxis.set_label_coords((MARGIN + 0.08 - LEFT) / width, 0.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.grid(visible=True, axis="y")
    axes.tick_params(length=0, axis="y")
    return axes


def _lines(axes: Axes, history: History, from_nothing: History, what: str) -> dict[str, float]:
    """Draw the curves of training and validation, and return their last values by name."""
    ends = {
        name: _line(axes, history, f"{split}_{what}", COLOURS[name])
        for split, name in SPLITS.items()
    }
    for split, name in SPLITS.items() if from_nothing else ():
        key, longer = f"{split}_{what}", f"{name}{FROM_NOTHING}"
        ends[longer] = _line(axes, from_nothing, key, COLOURS[name], linestyle=DASHES)
    return ends


def _line(axes: Axes, history: History, key: str, colour: str, **style: Any) -> float:
    """Draw `key` over the epochs and return its last value."""
    values = [row[key] for row in history]
    marker = "o" if len(history) <= FEW_EPOCHS else ""
    epochs = [row["epoch"] for row in history]
    axes.plot(epochs, values, color=colour, marker=marker, markersize=4, **style)
    return values[-1]


def _ring(axes: Axes, x: float, y: float) -> None:
    axes.plot(
        [x], [y], "o", markersize=9, markerfacecolor=PAPER, markeredgewidth=1.8,
        markeredgecolor=VALIDATION, zorder=4, clip_on=False,
    )  # fmt: skip
    axes.axvline(x, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)


def _label_ends(axes: Axes, labels: Mapping[str, str], ends: Mapping[str, float]) -> None:
    """Write each label at the end of its line, moved apart where labels would overlap."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)  # no autoscaling from here on
    line_height = TEXT * 1.3 / 72 / (axes.bbox.height / DPI)
    heights = {name: (value - low) / (high - low) for name, value in ends.items()}
    if len(heights) > 2:
        heights = spread_apart(heights, line_height)
    else:
        heights = dict(zip(heights, _apart(list(heights.values()), line_height), strict=True))
    for name, height in heights.items():
        axes.text(
            1.02, height, labels[name], transform=axes.transAxes,
            color=COLOURS[name.removesuffix(FROM_NOTHING)],
            verticalalignment="center", fontweight="bold",
        )  # fmt: skip


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """One or two heights, at least `gap` apart, around the same middle."""
    if len(heights) < 2 or abs(heights[1] - heights[0]) >= gap:
        return list(heights)
    middle = sum(heights) / 2
    up = gap / 2 if heights[0] >= heights[1] else -gap / 2
    return [middle + up, middle - up]
