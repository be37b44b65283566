"""Training curves: loss, accuracy and learning rate over the epochs."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
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
    TitledFigure,
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
FROM_NOTHING, DASHES = "from nothing", (0, (4, 2))

TRAINING_NOTE = (
    "Training figures are means over the epoch, while the weights change, with any augmentation "
    "and dropout. Validation follows each epoch, without them. Training may therefore look worse "
    "than validation. Ring: the last epoch, whose weights are exported."
)
DASHED = " Dashed: the same parameters, from nothing: all layers train, at the whole rates."
LOSS_NOTE = TRAINING_NOTE + (" Label smoothing, if any, is part of the training loss only.")


@applied()
def loss_curves(
    history: History, other: History = (), note: str = "", other_name: str = FROM_NOTHING
) -> TitledFigure:
    """Training and validation loss over the epochs; the exported epoch is ringed.

    other: of another training, drawn dashed: by default the same one without the weights that it
    started from. note: the end of the caption.
    """
    best = min(_checked(history), key=lambda row: row["val_loss"])
    title = f"Loss: validation loss {history[-1]['val_loss']:.3f} in the exported epoch"
    if other:
        title += f"; {other_name} {other[-1]['val_loss']:.3f}"
    remark = f" Lowest validation loss: {best['val_loss']:.3f}, in epoch {int(best['epoch'])}."
    canvas = Canvas(HEIGHT, title, LOSS_NOTE + remark + note)
    axes = _axes(canvas, history, other, "loss (cross-entropy)")
    ends = _lines(axes, history, other, "loss", other_name)
    _ring(axes, history[-1]["epoch"], history[-1]["val_loss"])
    axes.margins(y=0.08)
    _label_ends(axes, {name: f"{name} {value:.3f}" for name, value in ends.items()}, ends)
    return canvas.figure


@applied()
def accuracy_curves(
    history: History, other: History = (), note: str = "", other_name: str = FROM_NOTHING
) -> TitledFigure:
    """Training and validation accuracy over the epochs; the exported epoch is ringed.

    other, note, other_name: as in `loss_curves`.
    """
    best = max(_checked(history), key=lambda row: row["val_accuracy"])
    last = percent(history[-1]["val_accuracy"], 2)
    title = f"Accuracy: validation accuracy {last} in the exported epoch"
    if other:
        title += f"; {other_name} {percent(other[-1]['val_accuracy'], 2)}"
    remark = (
        f" Highest validation accuracy: {percent(best['val_accuracy'], 2)}, in epoch "
        f"{int(best['epoch'])}."
    )
    canvas = Canvas(HEIGHT, title, TRAINING_NOTE + remark + note)
    axes = _axes(canvas, history, other, "accuracy")
    ends = _lines(axes, history, other, "accuracy", other_name)
    _ring(axes, history[-1]["epoch"], history[-1]["val_accuracy"])
    axes.margins(y=0.08)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, 0.0), min(high, 1.02))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
    _label_ends(axes, {name: f"{name} {percent(value)}" for name, value in ends.items()}, ends)
    return canvas.figure


@applied()
def learning_rate(history: History) -> TitledFigure:
    """The learning rate of each epoch's last step."""
    peak = max(_checked(history), key=lambda row: row["learning_rate"])
    title = (
        f"Learning rate: at its highest {peak['learning_rate']:.3g}, in epoch "
        f"{int(peak['epoch'])}; each value is that of an epoch's last step"
    )
    canvas = Canvas(HEIGHT * 0.7, title)
    axes = _axes(canvas, history, (), "learning rate")
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


def epoch_positions(history: History, other: History = ()) -> dict[int, float]:
    """Where a picture of these curves has each epoch, as a share of its width."""
    low, high = _limits(history, other)
    width = _width(other)
    return {
        int(row["epoch"]): (LEFT + width * (row["epoch"] - low) / (high - low)) / WIDTH
        for row in max(history, other, key=len)
    }


def _limits(history: History, other: History) -> tuple[float, float]:
    first, last = history[0]["epoch"], max(history, other, key=len)[-1]["epoch"]
    room = 0.03 * (last - first) or 0.5
    return first - min(room, 0.5), last + room  # there is no epoch 0


def _width(other: History) -> float:
    return WIDTH - LEFT - (LONG_RIGHT if other else RIGHT)


def _axes(canvas: Canvas, history: History, other: History, label: str) -> Axes:
    width = _width(other)
    axes = canvas.axes(LEFT, 0.05, width, canvas.height - 0.05 - BOTTOM)
    axes.set_xlim(*_limits(history, other))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.yaxis.set_label_coords((MARGIN + 0.08 - LEFT) / width, 0.5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.grid(visible=True, axis="y")
    axes.tick_params(length=0, axis="y")
    return axes


def _lines(
    axes: Axes, history: History, other: History, what: str, other_name: str
) -> dict[str, float]:
    """Draw the curves of training and validation, and return their last values by name."""
    ends = {
        name: _line(axes, history, f"{split}_{what}", COLOURS[name])
        for split, name in SPLITS.items()
    }
    for split, name in SPLITS.items() if other else ():
        key, longer = f"{split}_{what}", f"{name}, {other_name}"
        ends[longer] = _line(axes, other, key, COLOURS[name], linestyle=DASHES)
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
            color=COLOURS[name.partition(",")[0]],
            verticalalignment="center", fontweight="bold",
        )  # fmt: skip


def _apart(heights: Sequence[float], gap: float) -> list[float]:
    """One or two heights, at least `gap` apart, around the same middle."""
    if len(heights) < 2 or abs(heights[1] - heights[0]) >= gap:
        return list(heights)
    middle = sum(heights) / 2
    up = gap / 2 if heights[0] >= heights[1] else -gap / 2
    return [middle + up, middle - up]
