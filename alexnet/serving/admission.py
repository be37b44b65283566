"""Admit a request and read its body, or answer with the reason why not."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException, Request

from alexnet.serving.limits import Limits

RETRY_SECONDS = 1


def overloaded(reason: str) -> HTTPException:
    return HTTPException(503, reason, {"Retry-After": str(RETRY_SECONDS)})


class Admission:
    """Counts the requests that are being answered: with their bodies, which bounds the memory."""

    def __init__(self, limit: int) -> None:
        self.limit, self.num_requests = limit, 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        if self.num_requests >= self.limit:
            raise overloaded(f"{self.limit} requests are being answered; try again")
        self.num_requests += 1
        try:
            yield
        finally:
            self.num_requests -= 1


async def read_body(request: Request, limits: Limits, deadline: float) -> bytes:
    """The body of a request, whether its length is stated or it comes in chunks.

    deadline: by the event loop's clock. Raises HTTPException if it is too large, encoded, or slow.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise HTTPException(415, f"the body is encoded ({encoding}); send it as it is")
    too_large = HTTPException(413, f"the body has more than {limits.max_bytes:,} bytes")
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > limits.max_bytes:
        raise too_large
    parts, num_bytes = [], 0
    try:
        async with asyncio.timeout_at(deadline):
            async for part in request.stream():
                parts.append(part)
                num_bytes += len(part)
                if num_bytes > limits.max_bytes:
                    raise too_large
    except TimeoutError:
        reason = f"the body did not arrive within {limits.timeout_seconds:g} seconds"
        raise HTTPException(408, reason, {"Connection": "close"}) from None
    return b"".join(parts)
