"""The page of a sweep: experiments that differ in their parameters, by their validation metrics."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexnet.report.page import write_page
from alexnet.report.parallel_coordinates import Axis, Value, axes_of

METRICS = {  # of the table and the last axes, as they are in reports/train/live.json
    "val_loss": "validation loss",
    "val_accuracy_percent": "validation accuracy (%)",
}
BY = "val_accuracy_percent"  # the best of it comes first
WIDTH, HEIGHT, TOP, BOTTOM, SIDE = 150, 260, 46, 14, 90  # of an axis and around it, in pixels


@dataclass(frozen=True)
class Trial:
    """An experiment: its parameters by their dotted names, and the metrics of its training."""

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Line:
    """A trial in the picture: the points of its line, and its place from best (0) to worst (1)."""

    trial: Trial
    points: str
    rank: float


def write_sweep(path: Path, trials: Sequence[Trial]) -> None:
    """Write the page of at least two trials to `path`, the best validation accuracy first."""
    trials = sorted(trials, key=lambda trial: trial.metrics[BY], reverse=True)
    names = dict.fromkeys(name for trial in trials for name in trial.params)
    differing = [name for name in names if len({_text(trial, name) for trial in trials}) > 1]
    rows = [{**{name: _value(t, name) for name in differing}, **t.metrics} for t in trials]
    axes = axes_of(rows, [*differing, *METRICS])
    write_page(
        path,
        "sweep.html.j2",
        title=f"{len(trials)} experiments",
        axes=[(_x(i), axis, METRICS.get(axis.name, axis.name)) for i, axis in enumerate(axes)],
        lines=[
            Line(trial, _points(axes, i), i / (len(trials) - 1)) for i, trial in enumerate(trials)
        ],
        y=_y,
        size=(_x(len(axes) - 1) + SIDE, TOP + HEIGHT + BOTTOM),
        differing=differing,
        text=_text,
        metrics=METRICS,
    )


def _points(axes: Sequence[Axis], index: int) -> str:
    """Of one trial, as SVG wants them; an axis on which it has no value is left out."""
    places = [(_x(i), axis.heights[index]) for i, axis in enumerate(axes)]
    return " ".join(f"{x},{_y(height):.1f}" for x, height in places if height is not None)


def _x(index: int) -> int:
    return SIDE + index * WIDTH


def _y(height: float) -> float:
    return TOP + (1 - height) * HEIGHT


def _value(trial: Trial, name: str) -> Value:
    """A parameter on an axis: a number as it is, anything else as its text."""
    value = trial.params.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return _text(trial, name)


def _text(trial: Trial, name: str) -> str:
    value = trial.params.get(name)
    return value if isinstance(value, str) else json.dumps(value)
