"""Scratch paths: where a file or a folder is written before it takes its place.

A scratch path is `.NAME.TOKEN.tmp` beside NAME. Its writer holds a lock on it, which ends with
the writer, however it ends. So the next writer of NAME can tell what a killed one left from
what a live one uses. (A process id in the name could not: it means nothing in another container.)
"""

import ctypes
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # <linux/fs.h>


@contextmanager
def scratch_path(path: Path, is_folder: bool = False) -> Iterator[Path]:
    """Make an empty file or folder beside `path`; what is left of it at the end is removed.

    The leftovers of killed writers of `path` are removed first. An OSError that passes through
    names `path` in place of the scratch path, or of no file at all (a full disk).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    with naming_errors(path):
        scratch, descriptor = _make(path, is_folder)
    try:
        with naming_errors(path, scratch):
            yield scratch
    finally:
        _remove(scratch)
        os.close(descriptor)


@contextmanager
def locked_folder(path: Path) -> Iterator[bool]:
    """Lock a folder, made if it is missing. Whether it was free: no other process locks it."""
    path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Before the lock, another process may have removed it.
        yield _lock(descriptor, otherwise=True) and _is_at(path, descriptor)
    finally:
        os.close(descriptor)


def replace_folder(path: Path, scratch: Path) -> None:
    """Put `scratch`/new in the place of the folder `path`, which moves to `scratch`.

    In one step where the file system can exchange two folders. Elsewhere `path` is missing for
    a moment; if the process is killed then, the next writer of `path` puts it back.
    """
    new, old = scratch / "new", scratch / "old"
    if path.exists() and _exchange(new, path):
        return
    if path.exists():
        path.rename(old)
    try:
        new.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
        raise


@contextmanager
def naming_errors(path: Path, scratch: Path | None = None) -> Iterator[None]:
    """Let an OSError that names no file name `path`, and one that names `scratch` as well."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # not of the system: it has a message of its own
            raise
        for attribute in ("filename", "filename2"):
            name = str(getattr(error, attribute))
            if scratch and name.startswith(str(scratch)):
                inside = name.removeprefix(str(scratch)).removeprefix("/new")
                setattr(error, attribute, f"{path}{inside}")
        if error.filename is None:
            error.filename = str(path)
        raise


def _make(path: Path, is_folder: bool) -> tuple[Path, int]:
    """A new scratch path and the descriptor that locks it."""
    while True:
        scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        if is_folder:
            scratch.mkdir()
        try:
            flags = os.O_RDONLY if is_folder else os.O_RDWR | os.O_CREAT | os.O_EXCL
            descriptor = os.open(scratch, flags, 0o666)
            # Before the lock, another writer may have taken it for a leftover.
            if _lock(descriptor, otherwise=True) and _is_at(scratch, descriptor):
                return scratch, descriptor
            os.close(descriptor)
        except FileNotFoundError:
            if not is_folder:
                raise


def _remove_leftovers(path: Path) -> None:
    """Remove the scratch paths of `path` that no process locks."""
    name = re.compile(rf"\.{re.escape(path.name)}\.([0-9]+|[0-9a-z_]{{8}})\.tmp")
    for entry in [entry for entry in os.scandir(path.parent) if name.fullmatch(entry.name)]:
        access = os.O_RDONLY if entry.is_dir(follow_symlinks=False) else os.O_RDWR
        try:
            descriptor = os.open(entry, access | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # removed by now, or another user's
            continue
        try:
            if _lock(descriptor, otherwise=False):
                old = Path(entry) / "old"
                if old.exists() and not path.exists():  # killed between two renames
                    old.rename(path)
                _remove(Path(entry))
        finally:
            os.close(descriptor)


def _lock(descriptor: int, otherwise: bool) -> bool:
    """Whether the lock was free; `otherwise` on a file system that has no locks.

    There, leftovers stay: they cannot be distinguished from what is in use.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return otherwise
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    return path.exists() and os.path.samestat(path.stat(), os.fstat(descriptor))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in one step; False where the system or the file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    paths = (_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other))
    return renameat2 is not None and renameat2(*paths, _RENAME_EXCHANGE) == 0
