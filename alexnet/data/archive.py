"""The files of a folder or an archive, one after the other.

Nothing is ever extracted to disk: an archive is read as a stream, and a member
that is not a plain file inside the archive's own folder is refused by name, so
that a hostile archive can neither write nor read anything elsewhere.
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


@dataclass(frozen=True)
class ArchiveMember:
    """A file, or a folder. `read` works only until the next member is asked for."""

    path: PurePosixPath
    is_folder: bool
    read: Callable[[], bytes]


def abbreviate(names: list[str]) -> str:
    """The first few of many names, and how many more there are."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def iter_members(root: Path) -> Iterator[ArchiveMember]:
    """Every file and folder in a folder, tar, tar.gz, tar.xz, tar.bz2 or zip.

    A folder comes sorted, an archive in its own order. Raises UserError that names
    the archive if it is damaged, or the member if it is a link, a device, or lies
    outside.
    """
    if root.is_dir():
        return _walk_folder(root, PurePosixPath())
    with root.open("rb") as file:
        is_zip = file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")
    return _walk_zip(root) if is_zip else _walk_tar(root)


def _walk_folder(root: Path, inside: PurePosixPath) -> Iterator[ArchiveMember]:
    for entry in sorted(os.scandir(root / inside), key=lambda entry: entry.name):
        path = _checked(root, str(inside / entry.name))
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_system_file(path):
            yield ArchiveMember(path, is_folder, lambda: b"")  # not even entered
        elif is_folder:
            yield ArchiveMember(path, is_folder, lambda: b"")
            yield from _walk_folder(root, path)
        elif entry.is_file(follow_symlinks=False):
            yield ArchiveMember(path, is_folder, Path(entry.path).read_bytes)
        else:
            raise _refused(root, path)


def _walk_zip(root: Path) -> Iterator[ArchiveMember]:
    with _naming_damage(root), zipfile.ZipFile(root) as archive:
        for info in archive.infolist():
            inside = _checked(root, info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where made on Windows
            if kind not in (0, stat.S_IFDIR, stat.S_IFREG):
                raise _refused(root, inside)

            def read(info: zipfile.ZipInfo = info) -> bytes:
                with _naming_damage(root):
                    _check_size(root, info.filename, info.file_size)
                    return archive.read(info)

            yield ArchiveMember(inside, info.is_dir(), read)


def _walk_tar(root: Path) -> Iterator[ArchiveMember]:
    with _naming_damage(root), _decompressed(root) as stream:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo) as archive:
            while (info := archive.next()) is not None:
                inside = _checked(root, info.name)
                if not (info.isfile() or info.isdir()):
                    raise _refused(root, inside)

                def read(info: tarfile.TarInfo = info) -> bytes:
                    with _naming_damage(root):
                        _check_size(root, info.name, info.size)
                        file = archive.extractfile(info)
                        assert file is not None, "it is a plain file"
                        return file.read()

                yield ArchiveMember(inside, info.isdir(), read)
                archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
        # The checksum of the compressed stream stands behind the archive's end.
        while stream.read(CHUNK_BYTES):
            pass


class _StrictTarInfo(tarfile.TarInfo):
    """tarfile takes a damaged header behind the first for the archive's end; we don't."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_StrictTarInfo":
        try:
            return super().fromtarfile(archive)
        # Not in typeshed: what the zeros at the end raise.
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from None


def _decompressed(path: Path) -> IO[bytes]:
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
def _naming_damage(path: Path) -> Iterator[None]:
    """Whatever a decompressor or unpacker stumbles over is said once, in our words."""
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


def _checked(root: Path, name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"{root.name}: {name} would lie outside the archive; this is refused")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{root.name}: the name {name!r} is not valid UTF-8; rename it") from None
    return path


def _refused(root: Path, path: PurePosixPath) -> UserError:
    return UserError(
        f"{root.name}: {path} is a link or a device; only plain files and folders are taken"
    )


def _check_size(root: Path, name: str, num_bytes: int) -> None:
    if num_bytes > MAX_IMAGE_BYTES:
        raise UserError(f"{root.name}: {name} has {num_bytes:,} bytes, too many for an image")
