"""Atomic writes: a file or directory is complete, or it is not there.

Everything is written to a temporary name beside its destination, synced to disk and then
renamed, so a crash or a full disk never leaves half a file in place of a good one. Modes are
those that the umask gives.
"""

import csv
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from alexnet.errors import UserError
from alexnet.scratch import naming_errors, replace_folder, scratch_path

CHUNK_BYTES = 1 << 20

Row = TypeVar("Row")  # a dataclass


@contextmanager
def atomic_write(path: Path, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to, which is renamed to `path` if the block succeeds.

    sync: also survive a crash of the machine, for which the disk is waited for. What killed
    writers of `path` left is removed. An OSError names `path`.
    """
    with scratch_path(path) as temporary:
        yield temporary
        if sync:
            fsync(temporary)
        temporary.replace(path)
        if sync:
            fsync(path.parent)


@contextmanager
def atomic_directory(path: Path, is_ours: Callable[[str], object]) -> Iterator[Path]:
    """Yield an empty temporary directory, which replaces `path` if the block succeeds.

    The old contents of `path` are removed only after that. is_ours: whether an earlier run may
    have written a file, by its path in `path`. Raises UserError if it has not written one: it
    would be lost. If `path` is a link, the folder that it names is replaced.
    """
    folder = Path(os.path.realpath(path))
    with scratch_path(folder, is_folder=True) as scratch:
        refuse_strangers(path, is_ours)
        new = scratch / "new"
        new.mkdir()
        with naming_errors(path, scratch):
            yield new
            for entry in (*new.rglob("*"), new):
                fsync(entry)
            refuse_strangers(path, is_ours)  # that came in the meantime
            replace_folder(folder, scratch)
            fsync(folder.parent)


def remove_directory(path: Path, is_ours: Callable[[str], object]) -> None:
    """Remove a folder that `atomic_directory` wrote, in one step. Raises UserError as it does."""
    folder = Path(os.path.realpath(path))
    if folder.exists():
        with scratch_path(folder, is_folder=True) as scratch:
            refuse_strangers(path, is_ours)
            folder.rename(scratch / "removed")


def refuse_strangers(path: Path, is_ours: Callable[[str], object]) -> None:
    """Raises UserError if `path` is a file, or holds a file that is not ours."""
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} should be a folder; move the file that is there elsewhere")
    strangers = []
    for folder, folders, names in os.walk(path):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        inside = [os.path.relpath(os.path.join(folder, name), path) for name in names + links]
        # DVC writes .gitignore beside what it tracks.
        strangers += [name for name in inside if name != ".gitignore" and not is_ours(name)]
    if strangers:
        shown = ", ".join(sorted(strangers)[:3])
        more = f" and {len(strangers) - 3:,} more" if len(strangers) > 3 else ""
        raise UserError(
            f"{path} holds {shown}{more}, not written by the pipeline, which replaces this folder "
            "as a whole: move what is yours to another folder, then run again"
        )


def fsync(path: Path) -> None:
    """Flush a file, or the entries of a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Raises UserError if the file is missing or is not JSON."""
    try:
        return json.loads(require_file(path).read_text(encoding="utf-8"))
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{path} is not valid JSON ({error}); run the stage that writes it"
        ) from None


def write_rows(path: Path, kind: type, rows: Sequence[Any], sync: bool = True) -> None:
    """Write dataclass instances of `kind` as CSV, floats with six significant digits."""
    with atomic_write(path, sync) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(row).items()}
            )


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """The rows that `write_rows` wrote; an empty field is None.

    Raises UserError if the file is missing, or its columns are not those of `kind`.
    """
    with require_file(path).open(newline="") as file:
        rows = [{k: v or None for k, v in row.items()} for row in csv.DictReader(file)]
    try:
        return [TypeAdapter(kind).validate_python(row) for row in rows]
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"]))
        raise UserError(
            f"{path} is not a table of {kind.__name__} rows ({where}: {detail['msg']}); "
            "run the stage that writes it"
        ) from None


def require_file(path: Path) -> Path:
    """Return `path`. Raises UserError if it does not exist."""
    if not path.exists():
        raise UserError(f"{path} does not exist; run the stage that writes it, or `dvc repro`")
    return path


def read_small_text(path: Path, max_bytes: int) -> str:
    """The text of a file that a person hands in. Raises OSError if it is missing.

    Raises UserError if it is no plain file (a pipe would be waited for), is not UTF-8, or is
    larger than `max_bytes`.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is not a plain file")
    if status.st_size > max_bytes:
        raise UserError(f"{path} has {status.st_size:,} bytes; at most {max_bytes:,} are read")
    try:
        return path.read_bytes().decode()  # as it is: its digest may be asked for
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text ({error})") from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file's contents, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_writable(folder: Path) -> None:
    """Make the folder and a file in it that is removed at once. Raises OSError if that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=folder).close()


def preallocate(path: Path, num_bytes: int) -> None:
    """Create a file of `num_bytes` zeros and reserve its space on the disk.

    Raises OSError if there is no room. Without the reservation a full disk would kill the
    process with SIGBUS when it writes to a memory map.
    """
    with naming_errors(path), path.open("wb") as file:
        if num_bytes:
            os.posix_fallocate(file.fileno(), 0, num_bytes)
