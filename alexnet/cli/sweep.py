"""sweep: a page with all experiments of the current commit, as parallel coordinates."""

import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from alexnet.report.sweep import Trial

SWEEP = Path("reports/sweep.html")
PARAMS = "params.yaml"
METRICS = "reports/train/live.json"  # of validation: nothing is chosen by the test images

logger = logging.getLogger(__name__)


def sweep(
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Draw the experiments of the current commit: parameters that differ, validation metrics.

    Reads what `dvc exp show` knows of this project, and writes reports/sweep.html.
    """
    import webbrowser

    from alexnet.errors import UserError
    from alexnet.report.sweep import write_sweep

    trials = [trial for state in _states() if (trial := _trial(state))]
    if len(trials) < 2:
        raise UserError(
            "a sweep needs two experiments with results; run some: "
            "dvc exp run --queue -S train.learning_rate=0.02,0.05, then dvc exp run --run-all"
        )
    write_sweep(SWEEP, trials)
    page = SWEEP.resolve()
    logger.info(f"{page}: {len(trials)} experiments")
    if show and not webbrowser.open(page.as_uri()):
        raise UserError(f"no browser could be started here; open {page} in one")


def _states() -> list[dict[str, Any]]:
    """The current commit and its experiments, as DVC has them. Raises UserError if it has none."""
    from alexnet.errors import UserError

    command = [sys.executable, "-m", "dvc", "exp", "show", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason is given"])[-1]
        raise UserError(f"DVC has no experiments to show here ({reason.removeprefix('ERROR: ')})")
    found = []
    for state in json.loads(done.stdout):
        if state["rev"] != "workspace":  # that of the latest experiment once more, or no run
            found.append(state)
            found += [each for group in state["experiments"] or () for each in group["revs"]]
    return found


def _trial(state: Mapping[str, Any]) -> "Trial | None":
    """Name, parameters and metrics of a run; None if it has no results (yet)."""
    from alexnet.nested import dotted_keys
    from alexnet.report.sweep import Trial

    data = state["data"] or {}
    params = data.get("params", {}).get(PARAMS, {}).get("data")
    metrics = data.get("metrics", {}).get(METRICS, {}).get("data")
    if not params or not metrics:
        return None
    return Trial(state["name"] or state["rev"][:7], dict(dotted_keys(params)), metrics)
