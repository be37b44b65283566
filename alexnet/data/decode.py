"""Decode all images of a data set in parallel, with a bounded number in memory.

Worker processes are spawned, so they inherit no threads or locks of their parent, and
import this module alone, which does not load torch.
"""

import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from alexnet.data.images import ImageError, Pixels, ResizeMethod, decode_image
from alexnet.data.index import Item
from alexnet.errors import UserError
from alexnet.signals import terminate_with_parent

CHUNK_ITEMS = 64
CHUNK_BYTES = 1 << 24  # large images make smaller chunks, before or after they are decoded


@dataclass(frozen=True, order=True)
class Failure:
    """Image `index`, which does not decode, and why: `name` and `reason` make a message."""

    index: int
    name: str
    reason: str


class DecodedChunk(NamedTuple):
    """indices of n images; images uint8 (n, size, size, channels); those that do not decode."""

    indices: list[int]
    images: Pixels
    failures: list[Failure]


def decode_items(
    items: Iterable[Item],
    num_items: int,
    size: int,
    channels: int,
    num_workers: int,
    method: ResizeMethod = "bicubic",
) -> Iterator[DecodedChunk]:
    """Decode all items, in chunks, in their order.

    An image that is not read, or does not decode, is one of the chunk's `failures`. Raises
    UserError if a worker is killed.
    """
    chunks = _chunks(items, max(1, min(CHUNK_ITEMS, CHUNK_BYTES // (size * size * channels))))
    num_workers = min(num_workers, num_items // CHUNK_ITEMS)
    if num_workers <= 1:
        for chunk in chunks:
            yield _decode_chunk(chunk, size, channels, method)
        return
    spawn = multiprocessing.get_context("spawn")
    # Else the workers would wait for ever for a process that was killed.
    pool = ProcessPoolExecutor(num_workers, spawn, terminate_with_parent, (os.getpid(),))
    pending: deque[Future[DecodedChunk]] = deque()
    try:
        for chunk in chunks:
            pending.append(pool.submit(_decode_chunk, chunk, size, channels, method))
            if len(pending) > 2 * num_workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            "a process that decodes images was killed, most likely for lack of memory; "
            "give the machine more memory, or the process fewer CPUs"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _decode_chunk(
    chunk: list[Item], size: int, channels: int, method: ResizeMethod
) -> DecodedChunk:
    decoded: dict[int, Pixels] = {}
    failures = []
    for item in chunk:
        if isinstance(item.content, str):
            failures.append(Failure(item.index, item.name, item.content))
            continue
        try:
            decoded[item.index] = decode_image(
                item.content, item.name, size, channels, method=method
            )
        except ImageError as error:
            failures.append(Failure(item.index, error.name, error.reason))
    images = np.stack(list(decoded.values())) if decoded else np.empty((0, size, size, channels))
    return DecodedChunk(list(decoded), images.astype(np.uint8, copy=False), failures)


def _chunks(items: Iterable[Item], max_items: int) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    num_bytes = 0
    for item in items:
        chunk.append(item)
        num_bytes += len(item.content)
        if len(chunk) == max_items or num_bytes >= CHUNK_BYTES:
            yield chunk
            chunk, num_bytes = [], 0
    if chunk:
        yield chunk
