"""Atomic writes: a file or directory is complete, or it is not there.

Everything is written to a temporary name beside its destination, synced to disk and then
renamed, so a crash or a full disk never leaves half a file in place of a good one.
"""

import csv
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from alexnet.errors import UserError

CHUNK_BYTES = 1 << 20

Row = TypeVar("Row")  # a dataclass


@contextmanager
def atomic_write(path: Path, sync: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to, which is renamed to `path` if the block succeeds.

    sync: also survive a crash of the machine, for which the disk is waited for.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if sync:
            fsync(temporary)
        temporary.replace(path)
        if sync:
            fsync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield an empty temporary directory, which replaces `path` if the block succeeds.

    The old contents of `path` are removed only after that.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    new, old = scratch / "new", scratch / "old"
    new.mkdir()
    try:
        yield new
        for file in new.rglob("*"):
            if file.is_file():
                fsync(file)
        if path.exists():
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
        fsync(path.parent)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
    with path.open("wb") as file:
        if num_bytes:
            os.posix_fallocate(file.fileno(), 0, num_bytes)
