"""Being told to stop: a signal is noted, and training looks at the note between steps."""

import signal
from types import FrameType, TracebackType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TrainingInterrupted(Exception):  # noqa: N818 (it is no error)
    """Training was told to stop; what it had reached is kept. `signum` is the signal's number."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class GracefulShutdown:
    """While open, SIGTERM and SIGINT set `signum` (0: none so far) and do nothing else."""

    def __init__(self) -> None:
        self.signum = 0

    def __enter__(self) -> "GracefulShutdown":
        self._before = {number: signal.signal(number, self._handle_signal) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle_signal(self, signum: int, frame: FrameType | None) -> None:
        self.signum = signum
