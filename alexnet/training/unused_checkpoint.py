"""Why a run that starts over does not resume from a checkpoint that its user may expect.

The key of a run has all that decides its bytes. One more thread, or a comment in the library, makes
another run; whoever interrupted the first one wants to know, and what would resume it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alexnet.nested import dotted_keys
from alexnet.progress import format_seconds
from alexnet.training.checkpoint_store import find_runs

NUM_NAMED = 4  # differences that are named; with more, it is another run altogether
# By key: what the run was made with, and what would bring that back.
WORDS = {
    "hardware.threads": ("{} threads", "OMP_NUM_THREADS={}"),
    "hardware.torch": ("PyTorch {}", "PyTorch {}"),
    "hardware.device": ("the processor {}", "the processor {}"),
    "hardware.world_size": ("{} processes", "train.num_processes: {}"),
    "dtype": ("{}", "{}"),
    "compiled": ("compiled: {}", "compiled: {}"),
}
FOLDERS = {"code": "alexnet", "data": "data/processed", "pretrained": "models"}  # of files
MISSING = object()


def explain_unused_checkpoint(root: Path, key: Mapping[str, Any]) -> str:
    """One line on the closest of the project's interrupted runs; empty if there is none.

    The closest is the one whose key has the fewest differences from `key`.
    """
    runs, _ = find_runs(root)
    key = json.loads(json.dumps(key))  # as those that were read: a tuple is a list
    interrupted = [
        run for run in runs if run.state == "interrupted" and run.step and run.project == Path.cwd()
    ]
    if not interrupted:
        return ""
    run = min(interrupted, key=lambda run: len(find_differences(run.key, key)))
    others = len(interrupted) - 1
    more = f" ({others} more: `alexnet checkpoints`)" if others else ""
    return (
        f"the checkpoint of step {run.step:,} of {run.num_steps:,} "
        f"({format_seconds(run.age_seconds, 2)} ago) is not used: "
        f"{describe_differences(find_differences(run.key, key))}{more}"
    )


def find_differences(
    theirs: Mapping[str, Any], ours: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Where two keys differ, by the path in them: (their value, ours), MISSING if there is none."""
    a, b = dict(dotted_keys(theirs)), dict(dotted_keys(ours))
    pairs = {path: (a.get(path, MISSING), b.get(path, MISSING)) for path in a | b}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def describe_differences(differences: Mapping[str, tuple[Any, Any]]) -> str:
    """What the checkpoint was made with, and what would resume it."""
    made, remedies, files = [], [], 0
    for path, (theirs, ours) in list(differences.items())[:NUM_NAMED]:
        room, _, name = path.partition(".")
        if room in FOLDERS:
            file = f"{FOLDERS[room]}/{name}"
            files += 1
            missing = "without" if theirs is MISSING else "with another"
            made.append(f"with {file}, which is gone" if ours is MISSING else f"{missing} {file}")
        else:
            if MISSING in (theirs, ours):
                return "it was made by another version of the project, with other parameters"
            was, remedy = WORDS.get(path, (f"{path} {{}}", f"{path}: {{}}"))
            made.append(f"with {was.format(theirs)} (now {ours})")
            remedies.append(remedy.format(theirs))
    if files:
        remedies.append("that file as it was" if files == 1 else "those files as they were")
    if len(differences) > NUM_NAMED:
        return f"it was made {', '.join(made)} and {len(differences) - NUM_NAMED} more differences"
    return f"it was made {', '.join(made)}; it resumes with {' and '.join(remedies)}"
