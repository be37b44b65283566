"""Killed writers, leftovers, links and modes: what lies at a path is always complete."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from alexnet import scratch
from alexnet.errors import UserError
from alexnet.files import atomic_directory, atomic_write, remove_directory, write_text

ROOT = Path(__file__).parents[1]

EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.scandir", "ctypes.dlsym"}
OURS = {"a", "b/c"}.__contains__
OLD, NEW = {"a": "old", "b/c": "old"}, {"a": "new", "b/c": "new"}


def die_at(operation: int) -> None:
    """SIGKILL this process ahead of the n-th operation on files."""
    seen = 0

    def hook(event: str, _: tuple) -> None:
        nonlocal seen
        if event in EVENTS:  # and not the kill's own
            seen += 1
            if seen == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def survives(operation: int, action: Callable[[], None]) -> bool:
    """Whether the action ends before its n-th operation, at which it is killed."""
    pid = os.fork()
    if not pid:
        try:
            die_at(operation)
            action()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def write_folder(path: Path, files: dict[str, str]) -> None:
    with atomic_directory(path, OURS) as new:
        (new / "b").mkdir()
        for name, text in files.items():
            (new / name).write_text(text)


def read_folder(path: Path) -> dict[str, str]:
    return {str(p.relative_to(path)): p.read_text() for p in path.rglob("*") if p.is_file()}


def kill_at_every_step(kind: str) -> dict[str, list]:
    """What is at the path after each kill, and after the next writer, which fails; None: nothing.

    `left`: the names beside it then.
    """
    if kind == "renamed":  # as on a file system that cannot exchange two folders
        scratch._exchange = lambda *_: False
    os.fsync = lambda descriptor: None  # no machine crashes here, and the disk is slow
    root = Path(tempfile.mkdtemp())
    path = root / "path"
    found: dict[str, list] = {"killed": [], "next": [], "left": []}

    def write(files: dict[str, str]) -> None:
        write_text(path, files["a"]) if kind == "file" else write_folder(path, files)

    def read() -> str | dict[str, str] | None:
        if path.is_dir():
            return read_folder(path)
        return path.read_text() if path.exists() else None

    for operation in range(1, 100):
        write(OLD)
        if survives(operation, lambda: write(NEW)):
            break
        found["killed"].append(read())
        writer = atomic_write(path) if kind == "file" else atomic_directory(path, OURS)
        with suppress(ZeroDivisionError), writer:
            raise ZeroDivisionError
        found["next"].append(read())
        found["left"] += [file.name for file in root.iterdir() if file != path]
    shutil.rmtree(root)
    return found


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, list]]:
    """By kind; from a process without torch, which forks a hundred times as fast."""
    script = (
        "import json; from tests.test_scratch import kill_at_every_step as kill; "
        "print(json.dumps({kind: kill(kind) for kind in ('file', 'exchanged', 'renamed')}))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["file", "exchanged", "renamed"])
def test_a_writer_killed_at_any_step_leaves_the_old_or_the_new(found, kind):
    old, new = ("old", "new") if kind == "file" else (OLD, NEW)
    states = found[kind]
    assert len(states["killed"]) >= 8
    missing = [state for state in states["killed"] if state is None]
    assert len(missing) == (1 if kind == "renamed" else 0)
    assert all(state in (old, new, None) for state in states["killed"])
    assert states["next"][0] == old
    assert states["next"][-1] == new
    assert all(state in (old, new) for state in states["next"]), "put back if it was missing"
    assert not states["left"]


def test_only_the_leftovers_of_this_path_are_removed_and_never_a_live_writers(tmp_path):
    path = tmp_path / "weights"
    ours = [tmp_path / ".weights.123.tmp", tmp_path / ".weights.ab_d1234.tmp"]
    others = [tmp_path / name for name in (".weights.csv.123.tmp", ".weights.notes.tmp", "x.tmp")]
    for file in (ours[0], *others):
        file.write_text("half")
    ours[1].mkdir()
    with atomic_write(path) as first:
        first.write_text("first")
        with atomic_write(path) as second:
            second.write_text("second")
            assert not [file for file in ours if file.exists()]
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert sorted(tmp_path.iterdir()) == sorted([path, *others])


def test_files_that_no_run_has_written_are_never_lost(tmp_path):
    path = tmp_path / "folder"
    write_folder(path, OLD)
    for name in ("b/mine", "notes", "one", "two"):
        (path / name).write_text("precious")
    before = read_folder(path)
    message = r"folder holds b/mine, notes, one and 1 more, not written by the pipeline.* move"
    for write in (write_folder, lambda *_: remove_directory(path, OURS)):
        with pytest.raises(UserError, match=message):
            write(path, NEW)
    assert read_folder(path) == before
    for name in ("b/mine", "notes", "one", "two"):
        (path / name).unlink()
    with pytest.raises(UserError, match="late"), atomic_directory(path, OURS):
        (path / "late").symlink_to(tmp_path)
    (path / "late").unlink()
    assert read_folder(path) == OLD
    remove_directory(path, OURS)
    remove_directory(path, OURS)
    assert not list(tmp_path.iterdir())
    path.write_text("a file")
    with pytest.raises(UserError, match="folder should be a folder; move the file"):
        write_folder(path, NEW)
    assert path.read_text() == "a file"


def test_a_link_to_a_folder_stays_one(tmp_path):
    (tmp_path / "disk").mkdir()
    path = tmp_path / "folder"
    path.symlink_to(tmp_path / "disk/folder")
    for files in (OLD, NEW):
        write_folder(path, files)
        assert path.is_symlink()
        assert read_folder(tmp_path / "disk/folder") == files
    assert [file.name for file in (tmp_path / "disk").iterdir()] == ["folder"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_modes_are_those_that_the_umask_gives(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_folder(tmp_path / "folder", OLD)
        write_text(tmp_path / "file", "a")
    finally:
        os.umask(before)
    modes = {str(p.relative_to(tmp_path)): p.stat().st_mode & 0o777 for p in tmp_path.rglob("*")}
    folder, file = 0o777 & ~umask, 0o666 & ~umask
    assert modes == {
        "folder": folder,
        "folder/b": folder,
        "folder/a": file,
        "folder/b/c": file,
        "file": file,
    }


@pytest.mark.parametrize(
    ("inside", "named"), [(None, ""), ("{new}/x.csv", "/x.csv"), ("/elsewhere", None)]
)
def test_an_error_without_a_file_names_the_path(tmp_path, monkeypatch, inside, named):
    """And one of a scratch path names what it stands for."""
    monkeypatch.chdir(tmp_path)
    reason = errno.ENOSPC, os.strerror(errno.ENOSPC)
    for write, path in ((lambda p: atomic_directory(p, OURS), "out/dir"), (atomic_write, "out/x")):
        with pytest.raises(OSError, match="No space left") as caught, write(Path(path)) as new:
            raise OSError(*reason, *([inside.format(new=new)] if inside else []))
        expected = inside if named is None else f"{path}{named}"
        assert str(caught.value) == f"[Errno 28] No space left on device: '{expected}'"
