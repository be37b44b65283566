"""One request: admitted, read, decoded in a thread, run with others, answered in time."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

import numpy as np
from fastapi import HTTPException, Request, Response
from numpy.typing import NDArray

from alexnet.errors import UserError
from alexnet.inference.predictor import Outputs, Predictor
from alexnet.serving import protocol
from alexnet.serving.admission import Admission, overloaded, read_body
from alexnet.serving.batcher import Batcher
from alexnet.serving.limits import Limits
from alexnet.serving.metrics import Metrics
from alexnet.serving.uploads import Upload, read_uploads

P = ParamSpec("P")
R = TypeVar("R")


class Service:
    """A model and its limits. `running()` is the context in which requests are answered."""

    def __init__(self, predictor: Predictor, limits: Limits, metrics: Metrics) -> None:
        self.predictor, self.limits, self.metrics = predictor, limits, metrics
        self.admission = Admission(limits.max_requests)
        metrics.in_progress.set_function(lambda: self.admission.num_requests)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        limits = self.limits
        with ThreadPoolExecutor(len(os.sched_getaffinity(0)), "decode") as self._pool:
            async with Batcher(
                self._infer, limits.max_batch, limits.max_delay_seconds
            ) as self._batcher:
                yield

    async def predict(self, request: Request, top: int) -> list[dict[str, Any]]:
        """The rows of `alexnet predict --json` for the images in the body."""
        async with self._answering(request) as body:
            content_type = request.headers.get("content-type", "")
            uploads = await self._in_thread(
                read_uploads, body, content_type, self.limits.max_images
            )
            outputs = await self._run(await self._prepare(uploads))
        rows = zip(uploads, outputs.probabilities, strict=True)
        return [
            {"file": name, "predictions": [vars(best) for best in self.predictor.best(row, top)]}
            for (name, _), row in rows
        ]

    async def infer(self, request: Request) -> Response:
        """The Open Inference Protocol's answer to a request for the raw tensors."""
        predictor = self.predictor
        shape = (predictor.crop, predictor.crop, predictor.channels)
        async with self._answering(request) as body:
            asked, images = await self._in_thread(
                protocol.read_request, body, request.headers, shape, self.limits.max_images
            )
            outputs = await self._run(images)
        content, headers = protocol.write_response(asked, outputs)
        return Response(content, headers=headers)

    @asynccontextmanager
    async def _answering(self, request: Request) -> AsyncIterator[bytes]:
        """The body of a request that is admitted; in the block, its time is limited."""
        deadline = asyncio.get_running_loop().time() + self.limits.timeout_seconds
        with self.admission.admit():
            body = await read_body(request, self.limits, deadline)
            try:
                async with asyncio.timeout_at(deadline):
                    yield body
            except TimeoutError:
                seconds = self.limits.timeout_seconds
                raise overloaded(f"no answer within {seconds:g} seconds; try again") from None

    async def _in_thread(
        self, function: Callable[P, R], *arguments: P.args, **named: P.kwargs
    ) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*arguments, **named))

    async def _prepare(self, uploads: list[Upload]) -> NDArray[np.uint8]:
        """uint8 (N, crop, crop, channels). Raises HTTPException that names what is no image."""
        results = await asyncio.gather(
            *(self._in_thread(self.predictor.prepare, image, name) for name, image in uploads),
            return_exceptions=True,
        )
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, UserError):
                raise error
        if errors:
            raise HTTPException(422, "\n".join(map(str, errors)))
        return np.stack([result for result in results if isinstance(result, np.ndarray)])

    async def _run(self, images: NDArray[np.uint8]) -> Outputs:
        """The outputs, of which all are numbers: JSON has no others."""
        outputs = await self._batcher.infer(images)
        if not all(np.isfinite(values).all() for values in outputs):
            raise HTTPException(500, "the model gives values that are no numbers (NaN, infinity)")
        return outputs

    def _infer(self, images: NDArray[np.uint8]) -> Outputs:
        start = time.perf_counter()
        outputs = self.predictor.infer(images)
        self.metrics.batches.observe(len(images))
        self.metrics.run_seconds.observe(time.perf_counter() - start)
        return outputs
