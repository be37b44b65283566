"""Training stability: four statistics of each layer over the epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from alexnet.report.canvas import MARGIN, Canvas
from alexnet.report.style import (
    DPI,
    INK,
    SMALL,
    TEXT,
    WIDTH,
    TitledFigure,
    applied,
    by_depth,
    percent,
)

# One mapping for each layer in each epoch: epoch (from 1), layer, and the keys of PANELS.
Rows = Sequence[Mapping[str, Any]]

HEIGHT = 2.15  # of a panel
LEFT, NAMES, BETWEEN, ABOVE, BELOW = 0.62, 0.52, 0.3, 0.3, 0.42
FEW_EPOCHS = 20


@dataclass(frozen=True)
class Panel:
    """One statistic: its key in the rows, its name, and its scale."""

    key: str
    name: str
    logarithmic: bool


PANELS = (
    Panel("gradient_norm", "gradient norm", True),
    Panel("weight_norm", "weight norm", True),
    Panel("update_ratio", "update-to-weight ratio", True),
    Panel("dead_relus", "dead ReLUs", False),
)


@applied()
def stability(rows: Rows, is_folded: bool = False, frozen: Sequence[str] = ()) -> TitledFigure:
    """Gradient norm, weight norm, update-to-weight ratio and dead ReLUs, a line for each layer.

    is_folded: batch normalisation trained along, and was folded at the end (`train.batch_norm`).
    frozen: layers that did not train, of which there are no rows.
    """
    if not rows:
        raise ValueError("the table of layers has no row: there is nothing to draw")
    canvas = Canvas(
        2 * (ABOVE + HEIGHT + BELOW),
        _title(rows),
        "Sampled in the last step of each epoch; logarithmic scales except for the dead ReLUs. "
        "Vanishing or exploding gradients differ from those of other layers by orders of "
        "magnitude. A healthy update is about a thousandth of the weights and falls with the "
        "learning rate. "
        + (
            "The weights are those that train: no batch normalisation has been folded into them "
            "yet. "
            if is_folded
            else ""
        )
        + "A ReLU is dead if its output is 0 for every validation image."
        + (f" Frozen, and so without a curve: {', '.join(frozen)}." if frozen else ""),
    )
    width = (WIDTH - 2 * (LEFT + NAMES) - BETWEEN) / 2
    for number, panel in enumerate(PANELS):
        row, column = divmod(number, 2)
        left = LEFT + column * (width + NAMES + BETWEEN + LEFT)
        top = ABOVE + row * (ABOVE + HEIGHT + BELOW)
        _draw(canvas.axes(left, top, width, HEIGHT), rows, panel)
        canvas.figure.text(
            (left - LEFT + MARGIN) / WIDTH, (canvas.total - canvas.top - top + 0.1) / canvas.total,
            panel.name, fontsize=TEXT, weight="bold",
        )  # fmt: skip
    return canvas.figure


def _title(rows: Rows) -> str:
    last = max(row["epoch"] for row in rows)
    dead = {row["layer"]: row["dead_relus"] for row in rows if row["epoch"] == last}
    worst = max((share or 0.0, name) for name, share in dead.items())
    ratios = [row["gradient_norm"] for row in rows if row["epoch"] == last]
    if len(ratios) == 1:
        return f"Training stability: only {worst[1]} trains; final gradient norm {ratios[0]:.2g}"
    spread = max(ratios) / max(min(ratios), 1e-12)
    dead_relus = "no dead ReLUs"
    if worst[0]:
        dead_relus = f"largest share of dead ReLUs {percent(worst[0])}, in {worst[1]}"
    return (
        f"Training stability: final gradient norms differ by a factor of {spread:,.0f}; "
        f"{dead_relus}"
    )


def _draw(axes: Axes, rows: Rows, panel: Panel) -> None:
    layers = list(dict.fromkeys(row["layer"] for row in rows))
    colours = dict(zip(layers, by_depth(len(layers)), strict=True))
    epochs = sorted({row["epoch"] for row in rows})
    marker = "o" if len(epochs) <= FEW_EPOCHS else ""
    ends = {}
    for layer in layers:
        values = [(r["epoch"], r[panel.key]) for r in rows if r["layer"] == layer]
        if any(value is None for _, value in values):
            continue
        xs, ys = zip(*values, strict=True)
        axes.plot(xs, ys, color=colours[layer], linewidth=1.4, marker=marker, markersize=2.5)
        ends[layer] = ys[-1]
    if not ends:
        axes.text(0.5, 0.5, "no ReLU follows", transform=axes.transAxes, ha="center", color=INK)
    _scale(axes, panel)
    room = 0.03 * (epochs[-1] - epochs[0]) or 0.5
    axes.set_xlim(epochs[0] - min(room, 0.5), epochs[-1] + room)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.grid(visible=True, axis="y")
    axes.tick_params(length=0, axis="y", which="both")
    _name(axes, ends, colours)


def _scale(axes: Axes, panel: Panel) -> None:
    if panel.logarithmic:
        axes.set_yscale("log", nonpositive="mask")
        low, high = axes.get_ylim()
        subs = (1.0,) if high / low > 300 else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
        axes.minorticks_off()
    else:
        axes.set_ylim(0, max(0.01, axes.get_ylim()[1]))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))


def _name(axes: Axes, ends: Mapping[str, float], colours: Mapping[str, str]) -> None:
    """Write each layer's name at the end of its line, moved apart where names would overlap."""
    to_axes = axes.transData + axes.transAxes.inverted()
    x = axes.get_xlim()[1]
    desired = {
        name: float(to_axes.transform((x, value))[1])
        if value > 0 or axes.get_yscale() != "log"
        else 0.0
        for name, value in ends.items()
    }
    gap = SMALL * 1.25 / 72 / (axes.bbox.height / DPI)
    for name, height in spread_apart(desired, gap).items():
        start = min(max(desired[name], 0.0), 1.0)
        axes.plot(
            [1.0, 1.045], [start, height], color=colours[name], linewidth=1.2,
            transform=axes.transAxes, clip_on=False,
        )  # fmt: skip
        axes.text(
            1.055, height, name, fontsize=SMALL, color=INK, va="center", transform=axes.transAxes
        )


def spread_apart(desired: Mapping[str, float], gap: float) -> dict[str, float]:
    """Heights in [0, 1] near the desired ones, in the same order, at least `gap` apart."""
    order = sorted(desired, key=lambda name: desired[name])
    heights: list[float] = []
    for name in order:
        lowest = heights[-1] + gap if heights else 0.0
        heights.append(max(desired[name], lowest))
    ceiling = 1.0
    for index in reversed(range(len(heights))):
        heights[index] = min(heights[index], ceiling)
        ceiling = heights[index] - gap
    return dict(zip(order, heights, strict=True))
