"""The contents of data/raw: files/, exactly as received, and source.json, their list."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from alexnet import files
from alexnet.errors import UserError

RENEW = "`dvc repro --force download`, then `dvc repro`"


@dataclass(frozen=True)
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
    root = raw / "files"
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    received = tuple(
        SourceFile(name, (root / name).stat().st_size, files.sha256(root / name)) for name in names
    )
    lines = "".join(f"{file.sha256}  {file.path}\n" for file in received)
    return Source(name, source, received, hashlib.sha256(lines.encode()).hexdigest())


def save_source(raw: Path, source: Source) -> None:
    files.write_json(raw / "source.json", asdict(source))


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
    found = list_source(raw, recorded.name, recorded.source)
    if found != recorded:
        changed = {file.path for file in set(found.files) ^ set(recorded.files)}
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
        message, names = str(error), [str(files), files.name]
        if files.is_dir():
            entries = list(files.iterdir())
            names += [entries[0].name] if len(entries) == 1 else []
        for name in names:
            if message.startswith((f"{name}: ", f"{name} ")):
                raise UserError(f"{origin}{message.removeprefix(name)}{advice}") from None
        raise UserError(f"{origin}: {message}{advice}") from None


def _read_list(raw: Path) -> Source:
    return files.read_record(raw / "source.json", Source, "run the stage download again")
