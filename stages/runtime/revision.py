"""REVISION:FILE in model.start_from: a file of another revision of git, as DVC has it.

The stage that reads it may run in a container, without git and DVC. So the runner fetches it
before, into a folder of the project, from DVC's cache or else its remote, and removes it after.
"""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from alexnet.errors import UserError
from stages.runtime.dvc_files import LOCK, dvc_command, md5_of, outs_of, parse_added, parse_lock

FOLDER = Path(".pretrained")
PROJECT = "DVC_ROOT"  # of an experiment in a folder of its own, whose git knows no branch or tag


def split_revision(start_from: str | None) -> tuple[str, str] | None:
    """(the revision, the path in the project) of REVISION:FILE; None of anything else.

    What exists is a path, whatever its name. (No revision of git has a colon in its name.) So is
    one of Windows, of which the stage says what it is called here.
    """
    if not start_from or ":" not in start_from or re.match(r"\w+://|[A-Za-z]:[\\/]", start_from):
        return None
    if os.path.lexists(os.path.expanduser(start_from)):
        return None
    revision, _, file = start_from.partition(":")
    return revision, file


def place_of(start_from: str) -> Path:
    """Where the runner puts the file or folder."""
    name = PurePosixPath(start_from.partition(":")[2]).name or "file"
    return FOLDER / hashlib.sha256(start_from.encode()).hexdigest()[:16] / name


@contextmanager
def fetched(start_from: str | None) -> Iterator[None]:
    """Have the file in its place during the block, if `start_from` is REVISION:FILE.

    Of a model.onnx, its folder is fetched, which verifies it. Raises UserError if git does not know
    the revision, or if neither DVC's cache nor its remote has the file, whole.
    """
    parts = split_revision(start_from)
    if parts is None:
        yield
        return
    assert start_from
    revision, file = parts
    path = PurePosixPath(file)
    if not revision or not file or path.is_absolute() or ".." in path.parts:
        raise _error(start_from, "is no path that exists, and no REVISION:FILE of the project")
    place = place_of(start_from)
    shutil.rmtree(FOLDER, ignore_errors=True)  # of a runner that was killed
    place.parent.mkdir(parents=True)
    try:
        if path.suffix == ".onnx":
            path, place = path.parent, place.parent
            place.rmdir()
        _fetch(start_from, _commit_of(start_from, revision), path, place)
        yield
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


def _commit_of(start_from: str, revision: str) -> str:
    options = ("--verify", "--quiet", "--end-of-options")
    done = _git("rev-parse", *options, f"{revision}^{{commit}}")
    if done.returncode:
        reason = done.stderr.strip() or f"git has no revision {revision} here"
        raise _error(start_from, f"{reason}; `git fetch` it, or name another, or a path")
    return done.stdout.strip()


def _fetch(start_from: str, commit: str, file: PurePosixPath, place: Path) -> None:
    print(f"pretrained: {file} of the commit {commit[:12]}", file=sys.stderr, flush=True)
    get = functools.partial(_run, *dvc_command(), "get", f"--rev={commit}", f"--out={place}", "--")
    done = get(_project(), str(file))
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = " ".join(lines).removeprefix("ERROR: ") or f"exit code {done.returncode}"
        raise _error(
            start_from,
            f"DVC has no {file} of the commit {commit[:12]} in its cache or its remote ({reason}); "
            "`dvc push` it from where it is",
        )
    # DVC takes a file in its cache that is read-only for an intact one.
    md5 = _recorded_md5(commit, file)
    if md5 and md5_of(place) != md5:
        raise _error(start_from, f"DVC's copy is damaged: it does not have the MD5 {md5}")


def _recorded_md5(commit: str, file: PurePosixPath) -> str | None:
    """What dvc.lock, or the .dvc file beside it, says of it; None: it lies in a tracked folder."""
    lock = _git("show", f"{commit}:./{LOCK}")
    stages = parse_lock(lock.stdout) if lock.returncode == 0 else {}
    outs = [out for name, stage in stages.items() for out in outs_of(name, stage)]
    found = [out.md5 for out in outs if out.path == Path(file)]
    added = f"{file}.dvc"
    shown = _git("show", f"{commit}:./{added}")
    if shown.returncode == 0:
        found += [out.md5 for out in outs_of(added, parse_added(shown.stdout, added))]
    return found[0] if found else None


def _git(*command: str) -> "subprocess.CompletedProcess[str]":
    return _run("git", "-C", _project(), *command)


def _project() -> str:
    return os.environ.get(PROJECT, ".")


def _run(*command: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(
            f"model.start_from: REVISION:FILE needs {command[0]}, which is not installed"
        ) from None


def _error(start_from: str, what: str) -> UserError:
    return UserError(f"model.start_from: {start_from}: {what}")
