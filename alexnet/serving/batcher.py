"""Requests that arrive together share a run of the network, which costs little more than one.

While the network runs, those that arrive wait, and the next run takes as many as fit. So a
server that has little to do answers at once, and one that has much to do batches more.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from alexnet.inference.predictor import Outputs

Infer = Callable[[NDArray[np.uint8]], Outputs]


@dataclass(frozen=True)
class _Waiting:
    images: NDArray[np.uint8]
    arrived: float  # by the event loop's clock
    outputs: asyncio.Future[Outputs]


class Batcher:
    """Runs `infer` for the images of several requests at once, in a thread of its own.

    max_batch: images in one run; a request with more runs alone. max_delay_seconds: that a
    request waits, from its arrival, for others. Used as a context: what is waiting at its end is
    cancelled.
    """

    def __init__(self, infer: Infer, max_batch: int, max_delay_seconds: float) -> None:
        self._infer = infer
        self._max_batch, self._max_delay_seconds = max_batch, max_delay_seconds
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._next: _Waiting | None = None  # taken from the queue, but it did not fit

    async def __aenter__(self) -> "Batcher":
        self._thread = ThreadPoolExecutor(1, "network")
        self._task = asyncio.create_task(self._run_batches())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self._thread.shutdown()

    async def infer(self, images: NDArray[np.uint8]) -> Outputs:
        """The outputs for images uint8 (N, crop, crop, channels); `infer`'s exceptions, too."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(images, loop.time(), loop.create_future())
        self._queue.put_nowait(waiting)
        return await waiting.outputs

    async def _run_batches(self) -> None:
        while True:
            batch = await self._next_batch()
            images = np.concatenate([waiting.images for waiting in batch])
            try:
                outputs = await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._infer, images
                )
            except Exception as error:
                for waiting in batch:
                    if not waiting.outputs.done():
                        waiting.outputs.set_exception(error)
                continue
            start = 0
            for waiting in batch:
                rows = slice(start, start + len(waiting.images))
                start = rows.stop
                if not waiting.outputs.done():  # its request may have timed out
                    waiting.outputs.set_result(Outputs(*(values[rows] for values in outputs)))

    async def _next_batch(self) -> list[_Waiting]:
        first, self._next = self._next or await self._queue.get(), None
        while first.outputs.done():  # cancelled
            first = await self._queue.get()
        batch, num_images = [first], len(first.images)
        while num_images < self._max_batch:
            try:
                async with asyncio.timeout_at(first.arrived + self._max_delay_seconds):
                    waiting = await self._queue.get()
            except TimeoutError:
                break
            if waiting.outputs.done():
                continue
            num_images += len(waiting.images)
            if num_images > self._max_batch:
                self._next = waiting
                break
            batch.append(waiting)
        return batch
