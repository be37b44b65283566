"""Decoding in parallel, a bounded number of images at a time.

Worker processes start afresh (spawn) and import this module only: neither torch nor
anything that a parent process may have in hand.
"""

import io
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alexnet.data.images import Pixels, resize_and_crop
from alexnet.data.index import Item
from alexnet.errors import UserError

CHUNK_ITEMS = 64
CHUNK_BYTES = 1 << 24  # of large photographs fewer make a chunk
# An image is opened as one of these, whatever its name: no decoder that runs programs.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM")

Decoded = tuple[list[int], Pixels]  # indices; images uint8 (n, size, size, channels)


def decode(
    items: Iterable[Item], num_items: int, size: int, channels: int, num_workers: int
) -> Iterator[Decoded]:
    """Decode all items, in chunks, in their order.

    Raises UserError that names an image that does not decode.
    """
    num_workers = min(num_workers, num_items // CHUNK_ITEMS)
    if num_workers <= 1:
        for chunk in _chunks(items):
            yield decode_chunk(chunk, size, channels)
        return
    pool = ProcessPoolExecutor(num_workers, multiprocessing.get_context("spawn"))
    waiting: deque[Future[Decoded]] = deque()
    try:
        for chunk in _chunks(items):
            waiting.append(pool.submit(decode_chunk, chunk, size, channels))
            if len(waiting) > 2 * num_workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            "a process that decodes images was killed, most likely for lack of memory; "
            "give the machine more, or it fewer processors"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def decode_chunk(chunk: list[Item], size: int, channels: int) -> Decoded:
    images = [decode_item(item, size, channels) for item in chunk]
    return [item.index for item in chunk], np.stack(images)


def decode_item(item: Item, size: int, channels: int) -> Pixels:
    """uint8 (size, size, channels). Raises UserError that names the image."""
    try:
        if isinstance(item.content, bytes):
            with Image.open(io.BytesIO(item.content), formats=_FORMATS) as image:
                return resize_and_crop(image, size, channels)
        return resize_and_crop(_image(item.content), size, channels)
    # Pillow raises whatever a broken file makes it stumble over.
    except Exception as error:
        raise UserError(f"{item.name} does not decode as an image: {error}") from None


def _image(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels)


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    num_bytes = 0
    for item in items:
        chunk.append(item)
        num_bytes += len(item.content)
        if len(chunk) == CHUNK_ITEMS or num_bytes >= CHUNK_BYTES:
            yield chunk
            chunk, num_bytes = [], 0
    if chunk:
        yield chunk
