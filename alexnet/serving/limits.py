"""What a server takes on at most. The command line shows these values, without FastAPI."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of every request."""

    max_batch: int = 32  # images in one run of the network; 1 runs each request alone
    max_delay_seconds: float = 0.0  # that a request waits for others to share its run
    max_requests: int = 64  # that are being answered; the next one gets 503
    max_images: int = 32  # in a request
    max_bytes: int = 16 << 20  # of a request's body
    max_pixels: int = 1 << 27  # of an image file: as many as `alexnet predict` decodes
    timeout_seconds: float = 10.0  # from a request's header to its answer
