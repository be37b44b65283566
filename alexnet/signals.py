"""Signals: training stops after the current step, and a child process ends with its parent."""

import ctypes
import signal
import sys
from types import FrameType, TracebackType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
PR_SET_PDEATHSIG = 1  # prctl(2): the signal that this process gets when its parent ends


class TrainingInterrupted(Exception):  # noqa: N818 (it is no error)
    """A signal stopped training, and a checkpoint was kept. `signum` is the signal's number."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class GracefulShutdown:
    """While open, SIGTERM and SIGINT set `signum` (0: none received) and do nothing else."""

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


def terminate_with_parent() -> None:
    """Have Linux send SIGTERM to this process when its parent ends; elsewhere, do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
