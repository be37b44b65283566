"""pull: fetch the results of earlier runs, so that only changed stages run."""

import sys
from collections.abc import Mapping
from pathlib import Path

from alexnet.cli.app import run
from alexnet.errors import UserError
from alexnet.files import abbreviate
from ci.lock import read_lock, write_lock
from ci.objects import is_cached, opened_remote, unusable
from ci.remote import dvc, find_remote
from stages.runtime.dvc_files import LOCK, Out, recorded_outs


def pull() -> None:
    """Fetch data, results and the run-cache from the DVC remote.

    With the run-cache, `dvc repro --pull` restores every stage that has run anywhere before. If
    nobody has what dvc.lock names, its stage is taken for one that has not run. Raises UserError
    if the remote cannot be read, or is not that of dvc.lock.
    """
    description = find_remote()
    reason = None
    try:
        dvc("fetch", "--run-cache")
    except UserError as error:  # also for a file of a folder that the remote lacks
        reason = error
    recorded = recorded_outs()
    with opened_remote(description, "read") as remote:
        if missing := remote.explain_missing():
            raise unusable(description, "read", reason or missing)
        incomplete = [out for out in recorded if not is_cached(out)]
        lost = {out: absent for out in incomplete if (absent := remote.lacks(out))}
        if lost and len(lost) == len(recorded) and not remote.holds_any(recorded):
            raise UserError(
                f"neither {description} nor this machine has anything that {LOCK} names: is it the "
                "right remote, and mounted? `dvc push` the results where they are, or, if they are "
                f"gone for good, take {LOCK} out of the repository"
            )
    if len(lost) < len(incomplete) or (reason and not lost):
        raise unusable(description, "read", reason)
    if lost:
        _forget(lost)
    if LOCK.exists():
        dvc("checkout", "--allow-missing")
    print(f"pull: {len(recorded_outs())} outputs, and the run-cache, from {description}")


def _forget(lost: Mapping[Out, Mapping[Path, str]]) -> None:
    """Leave of the stages of these outputs only their commands in dvc.lock, and say so.

    With its digests, `dvc repro --pull` would fail where a file of a folder is missing whose
    listing is there. Without the stage, DVC would add it at the end: the same results would be
    another dvc.lock.
    """
    stages = list(dict.fromkeys(out.stage for out in lost))
    paths = [str(path) for absent in lost.values() for path in absent]
    print(
        f"warning: pull: neither the remote nor this machine has {abbreviate(paths)}, which {LOCK} "
        f"names; made again by: {', '.join(stages)}",
        file=sys.stderr,
    )
    lock = read_lock()
    for stage in stages:
        lock["stages"][stage] = {"cmd": lock["stages"][stage]["cmd"]}
    write_lock(lock)


if __name__ == "__main__":
    run(pull)
