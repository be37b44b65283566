"""The contents of data/raw: files/, exactly as received, and source.json, their list."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from alexnet import files
from alexnet.errors import UserError

RENEW = "`dvc repro --force download`, then `dvc repro`"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file; `path` is relative to files/."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """The origin of a data set, and its files.

    source: the path or URL that the files came from.
    sha256: of the lines `<sha256>  <path>`, sorted by path: what `sha256sum` prints
        for the files.
    """

    name: str
    source: str
    files: tuple[SourceFile, ...]
    sha256: str

    @property
    def num_bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def list_source(raw: Path, name: str, source: str) -> Source:
    """List every file under raw/files with its size and digest."""
    received = tuple(sorted(_read_files(raw), key=lambda file: file.path))
    return Source(name, source, received, _digest(received))


def save_source(raw: Path, source: Source) -> None:
    # pydantic writes it without a dict for each of the files.
    text = TypeAdapter(Source).dump_json(source, indent=2).decode()
    files.write_text(raw / "source.json", text + "\n")


def written_by_download(raw: Path) -> Callable[[str], bool]:
    """Whether a file of `raw`, by its path there, is of an earlier download: source.json lists it.

    Without a valid source.json, no other file is.
    """
    try:
        listed = {f"files/{file.path}" for file in _read_list(raw).files}
    except UserError:
        listed = set()
    return (listed | {"source.json"}).__contains__


def load_source(raw: Path) -> Source:
    """Read source.json and check the files against it.

    Raises UserError if it is missing or malformed, or if a file was added, removed
    or changed since the download.
    """
    recorded = _read_list(raw)
    missing = {file.path: file for file in recorded.files}
    changed = [file.path for file in _read_files(raw) if missing.pop(file.path, None) != file]
    changed += missing
    if changed or recorded.sha256 != _digest(recorded.files):
        raise UserError(
            f"{raw / 'files'}: changed since the download: {files.abbreviate(sorted(changed))}; "
            f"run {RENEW}"
        )
    return recorded


@contextmanager
def naming_origin(files: Path, origin: str, advice: str = "") -> Iterator[None]:
    """Let a UserError about `files`, or about the one file in it, name `origin` in its place.

    advice: follows its message.
    """
    try:
        yield
    except UserError as error:
        message, names = str(error), [files.name]
        if files.is_dir():
            entries = list(files.iterdir())
            names += [entries[0].name] if len(entries) == 1 and entries[0].is_file() else []
        # A name may be another word of a message as well: of "1 of 13 images", the 1.
        starts = [rf"{re.escape(name)}(?=(:| cannot| has| is| lacks| should) )" for name in names]
        for start in (rf"{re.escape(str(files))}(?=:? )", *starts):
            if found := re.match(start, message):
                raise UserError(f"{origin}{message[found.end() :]}{advice}") from None
        raise UserError(f"{origin}: {message}{advice}") from None


def _read_files(raw: Path) -> Iterator[SourceFile]:
    """The files below raw/files, in the order of the file system."""
    root = raw / "files"
    for folder, _, names in os.walk(root):
        inside = Path(folder).relative_to(root)
        for name in names:
            path = Path(folder, name)
            if path.is_file():  # and no link into a cache that was emptied
                yield SourceFile(str(inside / name), path.stat().st_size, files.sha256(path))


def _digest(received: tuple[SourceFile, ...]) -> str:
    lines = "".join(f"{file.sha256}  {file.path}\n" for file in received)
    return hashlib.sha256(lines.encode()).hexdigest()


def _read_list(raw: Path) -> Source:
    return files.read_record(raw / "source.json", Source, "run the stage download again")
