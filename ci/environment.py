"""environment: train again if the image or its packages have changed since main's results.

dvc.yaml does not have them as dependencies: whoever runs it elsewhere trains with packages of
their own. CI's results should come from the environment that the repository describes.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from alexnet.cli.app import run
from alexnet.errors import UserError
from alexnet.files import read_json
from ci.git import git
from ci.lock import read_lock, write_lock
from ci.remote import dvc, repro
from ci.start import RETRAIN_FROM
from stages import paths
from stages.runtime.dvc_files import LOCK, parse_lock

ENVIRONMENT = ("Dockerfile", "train.lock", "ci/image")
MANIFEST = Path("artifacts/manifest.json")


def environment() -> None:
    """Run train by force if ENVIRONMENT differs from that of the revision of the results.

    That is the manifest's; without one, the commit that last changed dvc.lock. Export then runs
    again as well, even for the same weights: otherwise the manifest would keep the old revision,
    and every later job would train.
    """
    if not LOCK.exists() or "train" not in parse_lock(LOCK.read_bytes()):
        print("environment: there are no results yet; what has not run runs")
        return
    revision = _revision()
    changed = git("diff", "--name-only", revision, "HEAD", "--", *ENVIRONMENT)
    if changed == "":
        print(f"environment: {', '.join(ENVIRONMENT)} are those of {revision[:12]}")
        return
    what = changed.replace("\n", ", ") if changed else "unknown, git has no such commit"
    print(f"environment: changed since {revision[:12]}: {what}; train runs again", flush=True)
    repro("--pull", "pretrained", "preprocess")
    if os.environ.get(RETRAIN_FROM):
        repro("--force", "--single-item", "pretrained")
    before = read_lock()["stages"]["train"].get("outs", [])
    repro("--force", "--single-item", "train")
    lock = read_lock()
    lock["stages"].pop("export", None)  # what dvc.lock lacks runs
    train = lock["stages"]["train"]
    is_same = _weights(train["outs"]) == _weights(before)
    if is_same:  # then only the training time is new, which is no result
        train["outs"] = before
    write_lock(lock)
    if is_same:
        dvc("checkout", "--force", "train")


def _weights(outs: Iterable[Mapping[str, str]]) -> str | None:
    """The digest of the weights among the outputs of train."""
    return next((out["md5"] for out in outs if out["path"] == paths.WEIGHTS.as_posix()), None)


def _revision() -> str:
    """The revision at which main's results were made. Raises UserError if it is unknown."""
    recorded = read_json(MANIFEST)["provenance"]["revision"] if MANIFEST.exists() else None
    revision = recorded or git("log", "-1", "--format=%H", "--", str(LOCK))
    if not revision:
        raise UserError(f"{LOCK} is in no commit; commit it, or remove it")
    return str(revision)


if __name__ == "__main__":
    run(environment)
