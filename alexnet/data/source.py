"""What data/raw holds: files/, exactly as received, and source.json, their listing."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from alexnet import files
from alexnet.data.archive import abbreviate
from alexnet.errors import UserError


@dataclass(frozen=True)
class SourceFile:
    """One file; `path` is relative to files/."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """Where a data set came from and what came.

    `source` is the path as given or the address that answered. `sha256` is of the
    lines `<sha256>  <path>`, sorted by path: what `sha256sum` prints for the files.
    """

    name: str
    source: str
    files: tuple[SourceFile, ...]
    sha256: str

    @property
    def num_bytes(self) -> int:
        return sum(file.bytes for file in self.files)


def list_source(raw: Path, name: str, source: str) -> Source:
    """Measure every file under raw/files."""
    root = raw / "files"
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    received = tuple(
        SourceFile(name, (root / name).stat().st_size, files.sha256(root / name)) for name in names
    )
    lines = "".join(f"{file.sha256}  {file.path}\n" for file in received)
    return Source(name, source, received, hashlib.sha256(lines.encode()).hexdigest())


def write_source(raw: Path, source: Source) -> None:
    files.write_json(raw / "source.json", asdict(source))


def load_source(raw: Path) -> Source:
    """Read source.json and compare it with the files that are there.

    Raises UserError if it is missing or malformed, or if a file was added, removed
    or changed since it was received.
    """
    path = raw / "source.json"
    try:
        noted = TypeAdapter(Source).validate_python(files.read_json(path))
    except ValidationError as error:
        raise UserError(f"{path} is not a listing of ours ({error}); download again") from None
    found = list_source(raw, noted.name, noted.source)
    if found != noted:
        changed = {file.path for file in set(found.files) ^ set(noted.files)}
        raise UserError(
            f"{raw / 'files'}: not as it was received: {abbreviate(sorted(changed))}; "
            "download again"
        )
    return noted
