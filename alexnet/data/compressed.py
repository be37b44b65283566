"""Files that may be compressed, known by their first bytes and not by their names."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

_OPENERS: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"BZh": bz2.open,
}


def open_decompressed(path: Path) -> IO[bytes]:
    """What a gz, xz or bz2 file decompresses to, as a stream; another file as it is."""
    with path.open("rb") as file:
        start = file.read(max(map(len, _OPENERS)))
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            stream: IO[bytes] = opener(path)
            return stream
    return path.open("rb")
