"""checkpoints: the checkpoints of interrupted and complete trainings."""

import json
import logging
from typing import Annotated, Any

import typer

from alexnet.progress import format_seconds, in_bytes
from alexnet.training.checkpoint_store import (
    DAY_SECONDS,
    Run,
    checkpoint_root,
    find_runs,
    remove_run,
)

logger = logging.getLogger(__name__)


def checkpoints(
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove them, but for those of running trainings.")
    ] = False,
    older_than: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="Only those that are older.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the checkpoints of all trainings on this machine, or remove them. Needs no PyTorch."""
    root = checkpoint_root()
    runs, others = find_runs(root)
    for line in others:
        logger.warning(line)
    chosen = [run for run in runs if not older_than or run.age_seconds > older_than * DAY_SECONDS]
    if prune:
        chosen = [run for run in chosen if _is_removed(run)]
    if as_json:
        print(json.dumps([_as_dict(run) for run in chosen], indent=2))
        return
    for run in chosen:
        print(("removed " if prune else "") + _describe(run))
    total = in_bytes(sum(run.num_bytes for run in chosen))
    print(f"{len(chosen)} {'removed from' if prune else 'in'} {root}, {total}")


def _is_removed(run: Run) -> bool:
    """Remove it, or say why it stays."""
    why: object = "it is running"
    try:
        if remove_run(run.folder):
            return True
    except OSError as error:
        why = error
    logger.warning(f"{run.folder} stays: {why}")
    return False


def _describe(run: Run) -> str:
    total = f" of {run.num_steps:,}" if run.num_steps else ""
    return (
        f"{run.folder.name}  {run.state} at step {run.step:,}{total}, {in_bytes(run.num_bytes)}, "
        f"{format_seconds(run.age_seconds, 2)} ago, of {run.project}"
    )


def _as_dict(run: Run) -> dict[str, Any]:
    return {
        "folder": str(run.folder),
        "project": str(run.project),
        "state": run.state,
        "step": run.step,
        "num_steps": run.num_steps,
        "num_bytes": run.num_bytes,
        "age_seconds": run.age_seconds,
    }
