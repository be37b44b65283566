"""The recorded files of another run of the project: of a git revision or a DVC experiment.

DVC is a program here, and no library: it may have a Python of its own.
"""

import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from alexnet.errors import UserError


def fetch(revision: str, paths: Sequence[Path], folder: Path) -> None:
    """Put files or folders of the revision below `folder`, from DVC's cache, its remote or git.

    Raises UserError if this is no project of git and DVC, if neither knows the revision, or if
    one of its files is nowhere.
    """
    if _run("git", "ls-files", "--error-unmatch", "dvc.lock").returncode:
        raise UserError(
            "git does not track a dvc.lock here, from which DVC knows other runs; go to the "
            "project's folder, and commit the dvc.lock of each run (.demo has no git of its own)"
        )
    with ThreadPoolExecutor() as threads:  # DVC takes a second to start
        problems = threads.map(lambda path: _get(revision, path, folder / path), paths)
    if found := [problem for problem in problems if problem]:
        raise UserError(found[0])


def _get(revision: str, path: Path, out: Path) -> str | None:
    """Fetch a file; what went wrong."""
    out.parent.mkdir(parents=True, exist_ok=True)
    dvc = [sys.executable, "-m", "dvc"] if find_spec("dvc") else ["dvc"]
    done = _run(*dvc, "get", f"--rev={revision}", f"--out={out}", "--", ".", str(path))
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    reason = " ".join(lines).removeprefix("ERROR: ") or f"exit code {done.returncode}"
    if "revision" in reason:
        return (
            f"{revision}: git knows no such revision, and DVC no such experiment ({reason}); "
            "`git log` and `dvc exp list --all` list them, `git fetch` and `dvc exp pull` get more"
        )
    return (
        f"{revision}: DVC has no {path} of it in its cache or its remote ({reason}); run the "
        "pipeline there, or `dvc push` it from where it ran"
    )


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(f"--compare needs {command[0]}, which is not installed") from None
