"""A file or folder of a source, and what every kind of source checks about it."""

import gzip
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from alexnet.data.images import MAX_IMAGE_BYTES
from alexnet.errors import UserError

# What a data set of images does not reach. Without limits, a small archive could take all memory.
MAX_DEPTH = 64
MAX_NAME_BYTES = 1024
HEAD_BYTES = 64  # the first bytes of a file tell its kind


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """A file or a folder.

    root: the folder or archive that it lies in.
    path: its place there.
    num_bytes, open: of a file; it can be read, once, until the iterator advances.
    hard_link_to: the earlier member of a tar whose content this file shares.
    is_name_guessed: the archive does not say in which encoding its name is.
    is_archive: a folder stands for this archive in a folder.
    """

    root: Path
    path: PurePosixPath
    num_bytes: int = 0
    open: Callable[[], IO[bytes]] | None = None
    hard_link_to: PurePosixPath | None = None
    is_name_guessed: bool = False
    is_archive: bool = False

    @property
    def is_folder(self) -> bool:
        return self.open is None and self.hard_link_to is None

    @property
    def too_large(self) -> str | None:
        """Why a file of more bytes than any image is not read, in words that follow its name."""
        if self.num_bytes <= MAX_IMAGE_BYTES:
            return None
        return (
            f"has {self.num_bytes:,} bytes, too many for an image; the limit is {MAX_IMAGE_BYTES:,}"
        )

    def read(self) -> bytes:
        """Raises UserError if the file is damaged or larger than any image."""
        if self.too_large:
            raise UserError(f"{self.root.name}: {self.path} {self.too_large}")
        return self._read(-1)

    def read_head(self) -> bytes:
        """The first HEAD_BYTES. Raises UserError if the file is damaged."""
        return self._read(HEAD_BYTES)

    def _read(self, num_bytes: int) -> bytes:
        if self.open is None:
            raise not_a_file_error(self.root, self.path)
        with damage_as_user_error(self.root), self.open() as file:
            return file.read(num_bytes)


@contextmanager
def damage_as_user_error(path: Path) -> Iterator[None]:
    """Turn any error of a decompressor or unpacker into a UserError that names the archive."""
    try:
        yield
    except UserError:
        raise
    except (
        *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
        *(EOFError, ValueError, RuntimeError),  # RuntimeError: a method that zipfile lacks
    ) as error:
        raise UserError(
            f"{path.name} cannot be read ({error}): it should be a complete tar, tar.gz, tar.xz, "
            "tar.bz2 or zip without a password; get it again"
        ) from None


def checked_path(root: Path, name: str) -> PurePosixPath:
    """The path `name` in `root`. Raises UserError if it is outside, too long or no text."""
    if len(name.encode(errors="surrogatepass")) > MAX_NAME_BYTES:
        raise UserError(
            f"{root.name}: {name[:60]}... is a name of more than {MAX_NAME_BYTES:,} bytes"
        )
    path = PurePosixPath(name)
    if len(path.parts) > MAX_DEPTH:
        raise UserError(f"{root.name}: {name[:60]}... is more than {MAX_DEPTH} folders deep")
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{root.name}: {name} is outside the archive; remove it")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{root.name}: the name {name!r} is not valid UTF-8; rename it") from None
    return path


def not_a_file_error(root: Path, path: PurePosixPath) -> UserError:
    if root.is_dir():
        problem = "is a device or a pipe; only files, folders and links to them are read"
    else:
        problem = (
            "is a link or a device; of an archive, only files, folders and hard links are read"
        )
    return UserError(f"{root.name}: {path} {problem}")
