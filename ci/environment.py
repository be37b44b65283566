"""environment: train again if the image or its packages have changed since main's results.

dvc.yaml does not have them as dependencies: whoever runs it elsewhere trains with packages of
their own. CI's results should come from the environment that the repository describes.
"""

import subprocess
from pathlib import Path

from alexnet.cli.app import run
from alexnet.errors import UserError
from alexnet.files import read_json
from ci.remote import dvc
from stages.runtime.dvc_files import LOCK, parse_lock

ENVIRONMENT = ("Dockerfile", "train.lock", "ci/image")
MANIFEST = Path("artifacts/manifest.json")


def environment() -> None:
    """Run train by force if ENVIRONMENT differs from that of the revision of the results.

    That is the manifest's; without one, the commit that last changed dvc.lock.
    """
    if not LOCK.exists() or "train" not in parse_lock(LOCK.read_bytes()):
        print("environment: there are no results yet; what has not run runs")
        return
    revision = _revision()
    changed = _git("diff", "--name-only", revision, "HEAD", "--", *ENVIRONMENT)
    if changed == "":
        print(f"environment: {', '.join(ENVIRONMENT)} are those of {revision[:12]}")
        return
    what = changed.replace("\n", ", ") if changed else "unknown, git has no such commit"
    print(f"environment: changed since {revision[:12]}: {what}; train runs again", flush=True)
    dvc("repro", "--pull", "preprocess")
    dvc("repro", "--force", "--single-item", "train")


def _revision() -> str:
    """The revision at which main's results were made. Raises UserError if it is unknown."""
    recorded = read_json(MANIFEST)["provenance"]["revision"] if MANIFEST.exists() else None
    revision = recorded or _git("log", "-1", "--format=%H", "--", str(LOCK))
    if not revision:
        raise UserError(f"{LOCK} is in no commit; commit it, or remove it")
    return str(revision)


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    run(environment)
