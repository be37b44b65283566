"""Read the files of a folder or an archive, one after the other.

Nothing is extracted to disk: an archive is read as a stream, and a member that is a link,
a device, or outside the archive's folder fails with an error that names it. So a hostile
archive can neither write nor read another file.
"""

import bz2
import gzip
import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from alexnet.data.images import MAX_IMAGE_BYTES, is_system_file
from alexnet.errors import UserError
from alexnet.files import CHUNK_BYTES

# What a data set of images does not reach. Without limits, a small archive could take all memory.
MAX_MEMBERS = 2_000_000  # ImageNet's 1.4 million are the most that this project is for
MAX_DEPTH = 64
MAX_NAME_BYTES = 1024
MAX_HEADER_BYTES = 1 << 20  # of a tar's extended header, which tarfile reads whole
_EXTENDED_HEADERS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE),
)


@dataclass(frozen=True)
class ArchiveMember:
    """A file or a folder. `read` works only until the iterator advances."""

    path: PurePosixPath
    is_folder: bool
    read: Callable[[], bytes]


def iter_members(root: Path, follow_links: bool = False) -> Iterator[ArchiveMember]:
    """Every file and folder in a folder, tar, tar.gz, tar.xz, tar.bz2 or zip.

    A folder is sorted by name; an archive keeps its order. follow_links: of a folder, take a link
    to a file for that file. Raises UserError that names
    the archive if it is damaged or has too many members, or the member if it is a link, a
    device, outside, too deep or too long a name.
    """
    for number, member in enumerate(_walk(root, follow_links), start=1):
        if number > MAX_MEMBERS:
            raise UserError(f"{root.name}: holds more than {MAX_MEMBERS:,} files and folders")
        yield member


def _walk(root: Path, follow_links: bool) -> Iterator[ArchiveMember]:
    if root.is_dir():
        return _walk_folder(root, PurePosixPath(), follow_links)
    with root.open("rb") as file:
        is_zip = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    return _walk_zip(root) if is_zip else _walk_tar(root)


def _walk_folder(root: Path, inside: PurePosixPath, follow_links: bool) -> Iterator[ArchiveMember]:
    for entry in sorted(os.scandir(root / inside), key=lambda entry: entry.name):
        path = _checked_path(root, str(inside / entry.name))
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_system_file(path):
            yield ArchiveMember(path, is_folder, lambda: b"")  # a system folder is not entered
        elif is_folder:
            yield ArchiveMember(path, is_folder, lambda: b"")
            yield from _walk_folder(root, path, follow_links)
        elif entry.is_file(follow_symlinks=follow_links):

            def read(path: PurePosixPath = path) -> bytes:
                _check_size(root, str(path), (root / path).stat().st_size)
                return (root / path).read_bytes()

            yield ArchiveMember(path, is_folder, read)
        else:
            raise _not_a_file_error(root, path)


def _walk_zip(root: Path) -> Iterator[ArchiveMember]:
    with _damage_as_user_error(root), zipfile.ZipFile(root) as archive:
        for info in archive.infolist():
            inside = _checked_path(root, info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where made on Windows
            if kind not in (0, stat.S_IFDIR, stat.S_IFREG):
                raise _not_a_file_error(root, inside)

            def read(info: zipfile.ZipInfo = info) -> bytes:
                with _damage_as_user_error(root):
                    _check_size(root, info.filename, info.file_size)
                    return archive.read(info)

            yield ArchiveMember(inside, info.is_dir(), read)


def _walk_tar(root: Path) -> Iterator[ArchiveMember]:
    with _damage_as_user_error(root), _open_decompressed(root) as stream:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo) as archive:
            while (info := archive.next()) is not None:
                inside = _checked_path(root, info.name)
                if not (info.isfile() or info.isdir()):
                    raise _not_a_file_error(root, inside)

                def read(info: tarfile.TarInfo = info) -> bytes:
                    with _damage_as_user_error(root):
                        _check_size(root, info.name, info.size)
                        file = archive.extractfile(info)
                        assert file is not None, "it is a plain file"
                        return file.read()

                yield ArchiveMember(inside, info.isdir(), read)
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps them all
        # The compressed stream's checksum comes after the end of the archive.
        while stream.read(CHUNK_BYTES):
            pass


class _StrictTarInfo(tarfile.TarInfo):
    """Raises on a damaged header after the first, where tarfile would end the archive.

    And on extended headers whose size only their author limits.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_StrictTarInfo":
        try:
            return super().fromtarfile(archive)
        # Not in typeshed. Raised at the zeros that end an archive.
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None

    # The rest is not in typeshed.
    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _EXTENDED_HEADERS and self.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError(
                f"an extended header of {self.size:,} bytes; at most {MAX_HEADER_BYTES:,} are read"
            )
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return member

    def _proc_sparse(self, *_: object) -> None:
        raise tarfile.ReadError("it has sparse files")

    _proc_gnusparse_10 = _proc_sparse


def _open_decompressed(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        magic = file.read(6)
    openers: dict[bytes, Callable[[Path], Any]] = {
        b"\x1f\x8b": gzip.open,
        b"\xfd7zXZ\x00": lzma.open,
        b"BZh": bz2.open,
    }
    for prefix, opener in openers.items():
        if magic.startswith(prefix):
            stream: IO[bytes] = opener(path)
            return stream
    return path.open("rb")


@contextmanager
def _damage_as_user_error(path: Path) -> Iterator[None]:
    """Turn any error of a decompressor or unpacker into a UserError that names the archive."""
    try:
        yield
    except UserError:
        raise
    except (
        *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
        *(EOFError, ValueError, RuntimeError),  # RuntimeError: a zip with a password
    ) as error:
        raise UserError(
            f"{path.name} cannot be read ({error}): it should be a complete tar, tar.gz, tar.xz, "
            "tar.bz2 or zip without a password; get it again"
        ) from None


def _checked_path(root: Path, name: str) -> PurePosixPath:
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


def _not_a_file_error(root: Path, path: PurePosixPath) -> UserError:
    return UserError(
        f"{root.name}: {path} is a link or a device; only plain files and folders are accepted"
    )


def _check_size(root: Path, name: str, num_bytes: int) -> None:
    if num_bytes > MAX_IMAGE_BYTES:
        raise UserError(
            f"{root.name}: {name} has {num_bytes:,} bytes, too many for an image; the limit is "
            f"{MAX_IMAGE_BYTES:,}"
        )
