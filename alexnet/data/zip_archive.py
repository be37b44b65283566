"""Read a zip, and the names in it as the program that wrote them meant them.

The format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT (flags 4.4.4, methods
4.4.5, the Unicode Path extra field 4.6.9).
"""

import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from alexnet.data.images import is_system_file
from alexnet.data.members import (
    ArchiveMember,
    checked_path,
    damage_as_user_error,
    not_a_file_error,
)
from alexnet.errors import UserError

_IS_ENCRYPTED, _IS_UTF8 = 0x1, 0x800
_UNICODE_PATH = 0x7075
_UNIX = (3, 19)  # the systems of a zip where a backslash may be part of a name
_READ = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_METHODS = {
    **{1: "Shrink", 6: "Implode", 9: "Deflate64", 20: "Zstandard", 93: "Zstandard", 94: "MP3"},
    **{95: "XZ", 96: "JPEG recompression", 97: "WavPack", 98: "PPMd", 99: "AES encryption"},
}


def walk_zip(root: Path) -> Iterator[ArchiveMember]:
    """Every file and folder of a zip; see archive.iter_members."""
    with damage_as_user_error(root), zipfile.ZipFile(root) as archive:
        infos = archive.infolist()
        has_slash = any("/" in info.orig_filename for info in infos)
        names = [_declared_name(info) for info in infos]
        encoding = _guess_encoding(
            info for info, name in zip(infos, names, strict=True) if not name
        )
        for info, declared in zip(infos, names, strict=True):
            name = declared or _raw_name(info).decode(encoding)
            # Some programs on Windows write it, against the format, where a slash should be.
            if "/" not in name and not (has_slash and info.create_system in _UNIX):
                name = name.replace("\\", "/")
            inside = checked_path(root, name)
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where made on Windows
            if kind not in (0, stat.S_IFDIR, stat.S_IFREG):
                raise not_a_file_error(root, inside)
            if name.endswith("/"):
                yield ArchiveMember(root, inside, is_name_guessed=declared is None)
                continue
            if not is_system_file(inside):
                _check_is_readable(root, info, name)

            def open_file(info: zipfile.ZipInfo = info) -> IO[bytes]:
                return archive.open(info)

            yield ArchiveMember(
                root, inside, info.file_size, open_file, is_name_guessed=declared is None
            )


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    return info.orig_filename.encode("cp437")  # as which zipfile has decoded it


def _declared_name(info: zipfile.ZipInfo) -> str | None:
    """The name, if the zip says in which encoding it is."""
    name = info.orig_filename
    if info.flag_bits & _IS_UTF8 or name.isascii():
        return name
    start = struct.pack("<BI", 1, zlib.crc32(_raw_name(info)))
    extra = info.extra
    while len(extra) >= 4:
        kind, size = struct.unpack("<HH", extra[:4])
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == _UNICODE_PATH and field.startswith(start):
            return field[len(start) :].decode()
    return None


def _guess_encoding(infos: Iterable[zipfile.ZipInfo]) -> str:
    """UTF-8 if that fits all of these names, as it hardly does by chance, or else cp437."""
    try:
        for info in infos:
            _raw_name(info).decode()
    except UnicodeDecodeError:
        return "cp437"  # the format's own; every byte has a character in it
    return "utf-8"


def _check_is_readable(root: Path, info: zipfile.ZipInfo, name: str) -> None:
    advice = "extract it, and name the folder in data.source or pack it as tar.gz"
    if info.flag_bits & _IS_ENCRYPTED or info.compress_type == 99:
        raise UserError(f"{root.name}: {name} is encrypted; {advice}")
    if info.compress_type not in _READ:
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        raise UserError(
            f"{root.name}: {name} is compressed by {method}, which is not read; {advice}"
        )
