"""Damage to the end of an image file that Pillow does not see, such as zeros in its place."""

import re
import zlib
from collections.abc import Iterator

from alexnet.errors import UserError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GET = "get the file again"
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # the chunks that a PNG's pixels need
# A JPEG's data has only FF00 and FFD0 to FFD7. These begin a segment, which says how long it is.
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")
_JPEG_SEGMENTS = {bytes([code]) for code in (*range(0xC0, 0xD0), *range(0xDA, 0xF0), 0xFE)}


def check_end(content: bytes, kind: str | None) -> None:
    """Raises UserError if a file that Pillow decodes as `kind` has lost its end all the same."""
    if kind == "PNG":
        _check_png(content)
    elif kind in ("JPEG", "MPO"):
        _check_jpeg(content)
    elif kind == "GIF":
        _check_gif(content)


def without_metadata(png: bytes) -> bytes:
    """The chunks that its pixels and its orientation need, the latter if it is intact."""
    kept = [
        chunk
        for kind, chunk in _chunks(png)
        if kind in _PIXELS or (kind == b"eXIf" and _is_intact(chunk))
    ]
    return b"".join([PNG_SIGNATURE, *kept])


def _check_png(content: bytes) -> None:
    """Pillow does not check the sums of the pixels' chunks, nor that the last chunk is there."""
    for kind, chunk in _chunks(content):
        if kind in _PIXELS and not _is_intact(chunk):
            raise UserError(f"its data is damaged; {GET}")
        if kind == b"IEND":  # anything may follow
            return
    raise UserError(f"its end is missing; {GET}")


def _chunks(png: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The kind of each chunk of a PNG, and all its bytes."""
    view, start = memoryview(png), len(PNG_SIGNATURE)
    while start < len(png):
        stop = start + 12 + int.from_bytes(png[start : start + 4])
        yield png[start + 4 : start + 8], view[start:stop]
        start = stop


def _is_intact(chunk: memoryview) -> bool:
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:])


def _check_jpeg(content: bytes) -> None:
    """Pillow refuses a cut JPEG, but decodes zeros in the place of its end: as flat grey.

    What follows the end is none of the image: a phone may append a video.
    """
    if content.endswith(b"\xff\xd9"):  # most do; the search takes 3 % of decoding
        return
    start = 2
    while (marker := _JPEG_MARKER.search(content, start)) and marker[1] in _JPEG_SEGMENTS:
        start = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
    if not marker or marker[1] != b"\xd9":
        raise UserError(f"its end is missing; {GET}")


def _check_gif(content: bytes) -> None:
    """Zeros within the last block of the first image end it early, so Pillow finds no fault."""
    start = 13 + _colour_table(content[10])
    while content[start] == ord("!"):  # an extension
        start = _after_blocks(content, start + 2)
    stop = _after_blocks(content, start + 11 + _colour_table(content[start + 9]))
    if content[stop:] and not content[stop:].strip(b"\0"):
        raise UserError(f"its end is missing; {GET}")


def _colour_table(flags: int) -> int:
    """The number of its bytes."""
    return 3 * 2 ** (1 + flags % 8) if flags & 0x80 else 0


def _after_blocks(content: bytes, start: int) -> int:
    """Each block begins with its length; one without a length is the last."""
    while start < len(content) and content[start]:
        start += 1 + content[start]
    return start + 1
