"""start: where training is due, let it start from the weights that main has now.

params.yaml names main's weights once and for all (model.start_from); DVC does not see when main
gets others. So this reads them again, but only for a training that is due anyway: a new parent
alone is no reason to train.
"""

import json
import os
import subprocess
import sys

from alexnet.cli.app import run
from alexnet.errors import UserError
from ci.git import git
from ci.remote import repro
from stages import paths
from stages.params import load
from stages.runtime.dvc_files import LOCK, LockedStage, parse_lock

RETRAIN_FROM = "RETRAIN_FROM"  # a branch of origin; empty: nothing is done


def start() -> None:
    """Run the stage pretrained again if train will run.

    Raises UserError if model.start_from does not name the weights of that branch, and if a stage
    before train fails.
    """
    branch = os.environ.get(RETRAIN_FROM)
    if not branch:
        return
    wanted = f"origin/{branch}:{paths.WEIGHTS}"
    found = load(paths.PARAMS).model.start_from
    if found != wanted:
        raise UserError(
            f"{RETRAIN_FROM} is {branch}, but model.start_from in {paths.PARAMS} is {found}; set "
            f"it to {wanted}, or {RETRAIN_FROM} to nothing"
        )
    lock = git("show", f"origin/{branch}:./{LOCK}") or ""
    if not parse_lock(lock).get("train", LockedStage()).outs:
        raise UserError(
            f"origin/{branch} has no weights yet to start from; train first with "
            f"model.start_from: null and without {RETRAIN_FROM}"
        )
    repro("--pull", "preprocess")
    if not _is_due():
        print("start: train is up to date")
        return
    repro("--force", "--single-item", "pretrained")
    print(f"start: training starts from the weights of origin/{branch}")


def _is_due() -> bool:
    """Whether train, or pretrained before it, would run: by another input, command or code."""
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "--json", "pretrained", "train"],
        stdout=subprocess.PIPE,
    )
    if done.returncode:
        raise UserError("`dvc status train` failed; the reason is above")
    changes = [entry for entries in json.loads(done.stdout).values() for entry in entries]
    # A changed command is a text of its own, what else has changed a key: {"changed deps": ...}.
    return any(entry == "changed command" or "changed deps" in entry for entry in changes)


if __name__ == "__main__":
    run(start)
