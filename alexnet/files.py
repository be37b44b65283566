"""Atomic writes: a file or directory is complete, or it is not there. And checked reads.

Everything is written to a temporary name beside its destination, synced to disk and then
renamed, so a crash or a full disk never leaves half a file in place of a good one. Modes are
those that the umask gives.
What is read may have been edited since: it is checked against the dataclass that describes it.
"""

import csv
import ctypes
import hashlib
import json
import os
import reprlib
import stat
import tempfile
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, from_json

from alexnet.errors import UserError
from alexnet.scratch import naming_errors, replace_folder, scratch_path

CHUNK_BYTES = 1 << 20
MAX_FSYNCS = 1000
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 60, 60

Record = TypeVar("Record")  # a dataclass

# The types of its fields.
Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, lt=2**53)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


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
            _sync_contents(new)
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
        raise UserError(
            f"{path} holds {abbreviate(sorted(strangers))}, not written by the pipeline, which "
            "replaces this folder as a whole: move what is yours to another folder, then run again"
        )


def abbreviate(names: Sequence[str]) -> str:
    """The first three names, and the number of the others."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3:,} more"


def fsync(path: Path) -> None:
    """Flush a file, or the entries of a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_contents(folder: Path) -> None:
    """Flush a folder with all that is in it.

    Many files are flushed by one call, with whatever else was written to their file system: of
    20,000 it took 0.02 ms a file in place of 0.24.
    """
    entries = [Path(at, name) for at, _, names in os.walk(folder) for name in ("", *names)]
    if len(entries) <= MAX_FSYNCS:
        for entry in entries:
            fsync(entry)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, advice: str = "run the stage that writes it again") -> Any:
    """Raises UserError, with `advice`, if the file is missing or is not JSON; NaN is not."""
    content = require_file(path).read_bytes()
    try:
        return from_json(content.removeprefix(BOM_UTF8), allow_inf_nan=False)
    except ValueError as error:
        raise UserError(f"{path}: is not valid JSON ({error}); {advice}") from None


def read_record(path: Path, kind: type[Record], advice: str) -> Record:
    """The dataclass `kind` from a JSON object, of exact types, within its fields' bounds.

    Raises UserError if the file is missing, or, with `advice`, one that names what is wrong in it.
    """
    return parse_record(require_file(path).read_bytes(), kind, str(path), advice)


def parse_record(content: bytes, kind: type[Record], source: str, advice: str) -> Record:
    """As `read_record`, of the content of a file; `source` says which."""
    try:
        return TypeAdapter(kind).validate_json(content.removeprefix(BOM_UTF8), strict=True)
    except ValidationError as error:
        raise UserError(f"{source}: {explain_validation(error)}; {advice}") from None


def write_rows(path: Path, kind: type, rows: Sequence[Any], sync: bool = True) -> None:
    """Write dataclass instances of `kind` as CSV, floats with six significant digits."""
    with atomic_write(path, sync) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in asdict(row).items()}
            )


def read_rows(path: Path, kind: type[Record], advice: str) -> list[Record]:
    """The rows that `write_rows` wrote, at least one; an empty field is None.

    Raises UserError if the file is missing, or, with `advice`, one that names line and column.
    """
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    adapter, rows = TypeAdapter(kind), []
    try:
        with require_file(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            if next(reader, None) != names:
                raise ValueError(f"should have the columns {', '.join(names)}")
            for cells in filter(None, reader):
                if len(cells) != len(names):
                    raise ValueError(f"line {reader.line_num}: should have {len(names)} cells")
                row = dict(zip(names, (cell or None for cell in cells), strict=True))
                rows.append(adapter.validate_python(row))
            if not rows:
                raise ValueError("holds no rows")
    except ValidationError as error:
        message = f"line {reader.line_num}: {explain_validation(error)}"
    except UserError:
        raise
    except (ValueError, csv.Error) as error:  # UnicodeDecodeError is a ValueError
        message = str(error)
    else:
        return rows
    raise UserError(f"{path}: {message}; {advice}")


def explain_validation(error: ValidationError) -> str:
    """The first thing that is wrong, as `field: message (got value)`."""
    detail = error.errors()[0]
    return f"{'.'.join(map(str, detail['loc']))}: {message_of(detail)}".removeprefix(": ")


def message_of(detail: ErrorDetails) -> str:
    """One error of pydantic's as `message (got value)`, short whatever the value."""
    match detail["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not known"
        case "json_invalid":
            return f"is not valid JSON ({detail['ctx']['error']})"
        case "value_error":  # of a class's own checks
            return str(detail["ctx"]["error"])
    try:
        value = shorten(_SHORT.repr(detail["input"]), 100)
    except ValueError:  # Python refuses to write an integer of thousands of digits
        value = "a number of thousands of digits"
    return f"{detail['msg'].replace('Input should', 'should')} (got {value})"


def shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


def require_file(path: Path) -> Path:
    """Return `path`. Raises UserError if it does not exist, or is a directory or a pipe."""
    if not path.exists():
        raise UserError(f"{path} does not exist; run the stage that writes it, or `dvc repro`")
    if not path.is_file():
        raise UserError(f"{path} is not a file; remove it and run the stage that writes it")
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
    with require_file(path).open("rb") as file:
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
