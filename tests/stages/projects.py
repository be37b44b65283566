"""Projects of a test's own: the code of this checkout, DVC, and a folder of digits."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT, STAGES

TIMEOUT = 1800.0  # far more than anything takes, on a busy machine too
AUTHOR = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "a"), ("EMAIL", "a@example.org"))
}
ENVIRONMENT = AUTHOR | {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT),
    "PYTHONWARNINGS": "default",
    "COLUMNS": "100",
    "ALEXNET_CHECKPOINTS": ".checkpoints",  # each project's own: no run completes another's
}


def copy_code(folder: Path) -> None:
    """What DVC needs to run the pipeline there; without git, and without parameters."""
    folder.mkdir(exist_ok=True)
    for name in ("alexnet", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n    no_scm = true\n")


def call(
    folder: Path, *command: object, check: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`, on the code that lies there before that of the checkout."""
    result = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=os.environ | ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def commit(folder: Path) -> None:
    """Commit everything in the git repository."""
    call(folder, "git", "add", ".")
    call(folder, "git", "commit", "--quiet", "--message=a")


def dvc(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return call(folder, "dvc", *arguments, check=check)


def executed(output: str) -> list[str]:
    """The stages that a `dvc repro` has run."""
    return [stage for stage in STAGES if f"Running stage '{stage}'" in output]


def start(folder: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command; stdout and stderr come as one."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | ENVIRONMENT | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """(exit code, output), once nobody can write to the output any more."""
    output, _ = process.communicate(timeout=TIMEOUT)
    return process.returncode, output


def wait_until(happened: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.005)
