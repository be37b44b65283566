"""Training curves: loss, accuracy and learning rate over the epochs."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from alexnet.report.canvas import MARGIN, Canvas
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
FEW_EPOCHS = 20  # up to here each epoch gets a marker

TRAINING_NOTE = (
    "Training figures are means over the epoch, while the weights change, with any augmentation "
    "and dropout. Validation follows each epoch, without them. Training may therefore look worse "
    "than validation. Ring: the best validation epoch."
)
LOSS_NOTE = TRAINING_NOTE + (" Label smoothing, if any, is part of the training loss only.")


@applied()
def loss_curves(history: History) -> Figure:
    """Training and validation loss over the epochs; the lowest validation loss is ringed."""
    best = min(_checked(history), key=lambda row: row["val_loss"])
    title = f"Loss: lowest validation loss {best['val_loss']:.3f} in epoch {int(best['epoch'])}"
    canvas = Canvas(HEIGHT, title, LOSS_NOTE)
    axes = _axes(canvas, history, "loss (cross-entropy)")
    ends = [
        _line(axes, history, "train_loss", TRAINING),
        _line(axes, history, "val_loss", VALIDATION),
    ]
    _ring(axes, best["epoch"], best["val_loss"])
    axes.margins(y=0.08)
    _label_ends(axes, [f"training {ends[0]:.3f}", f"validation {ends[1]:.3f}"], ends)
    return canvas.figure


@applied()
def accuracy_curves(history: History) -> Figure:
    """Training and validation accuracy over the epochs; the best validation epoch is ringed."""
    best = max(_checked(history), key=lambda row: row["val_accuracy"])
    title = (
        f"Accuracy: best validation accuracy {percent(best['val_accuracy'], 2)} in epoch "
        f"{int(best['epoch'])}"
    )
    canvas = Canvas(HEIGHT, title, TRAINING_NOTE)
    axes = _axes(canvas, history, "accuracy")
    ends = [
        _line(axes, history, "train_accuracy", TRAINING),
        _line(axes, history, "val_accuracy", VALIDATION),
    ]
    _ring(axes, best["epoch"], best["val_accuracy"])
    axes.margins(y=0.08)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 1.02))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    _label_ends(axes, [f"training {percent(ends[0])}", f"validation {percent(ends[1])}"], ends)
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
    _label_ends(axes, [f"final {end:.2g}"], [end])
    return canvas.figure


def _checked(history: History) -> History:
    if not history:
        raise ValueError("the history has no epochs to draw")
    return history


def _axes(canvas: Canvas, history: History, label: str) -> Axes:
    axes = canvas.axes(LEFT, 0.05, WIDTH - LEFT - RIGHT, canvas.height - 0.05 - BOTTOM)
    first, last = history[0]["epoch"], history[-1]["epoch"]
    room = 0.03 * (last - first) or 0.5
    axes.set_xlim(first - min(room, 0.5), last + room)  # there is no epoch 0
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.yaxis.set_label_coords((MARGIN + 0.08 - LEFT) / (WIDTH - LEFT - RIGHT), 0.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.grid(visible=True, axis="y")
    axes.tick_params(length=0, axis="y")
    return axes


def _line(axes: Axes, history: History, key: str, colour: str) -> float:
    """Draw `key` over the epochs and return its last value."""
    values = [row[key] for row in history]
    marker = "o" if len(history) <= FEW_EPOCHS else ""
    axes.plot([row["epoch"] for row in history], values, color=colour, marker=marker, markersize=4)
    return values[-1]


def _ring(axes: Axes, x: float, y: float) -> None:
    axes.plot(
        [x], [y], "o", markersize=9, markerfacecolor=PAPER, markeredgewidth=1.8,
        markeredgecolor=VALIDATION, zorder=4, clip_on=False,
    )  # fmt: skip
    axes.axvline(x, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)


def _label_ends(axes: Axes, labels: Sequence[str], values: Sequence[float]) -> None:
    """Write each label at the end of its line, moved apart where labels would overlap."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)  # no autoscaling from here on
    line_height = TEXT * 1.3 / 72 / (axes.bbox.height / DPI)
    heights = [(value - low) / (high - low) for value in values]
    for label, height, colour in zip(
        labels, _apart(heights, line_height), _colours(len(labels)), strict=True
    ):
        axes.text(
            1.02, height, label, transform=axes.transAxes, color=colour,
            verticalalignment="center", fontweight="bold",
        )  # fmt: skip


def _colours(number: int) -> tuple[str, ...]:
    return (TRAINING, VALIDATION) if number == 2 else (INK,)


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """One or two heights, at least `gap` apart, around the same middle."""
    if len(heights) < 2 or abs(heights[1] - heights[0]) >= gap:
        return list(heights)
    middle = sum(heights) / 2
    up = gap / 2 if heights[0] >= heights[1] else -gap / 2
    return [middle + up, middle - up]
