"""Signals: training stops cleanly between two steps, and no process outlives its parent."""

import ctypes
import os
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
PR_SET_PDEATHSIG = 1  # prctl(2)


class TrainingInterrupted(Exception):  # noqa: N818 (not an error)
    """A signal stopped training, and a checkpoint was written. `signum`: the signal's number."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class GracefulShutdown:
    """While active, SIGTERM and SIGINT only set `received_signal` (0: none so far)."""

    def __init__(self) -> None:
        self.received_signal = 0

    def __enter__(self) -> "GracefulShutdown":
        self._previous = {number: signal.signal(number, self._handle_signal) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle_signal(self, signum: int, frame: FrameType | None) -> None:
        self.received_signal = signum


def terminate_with_parent(parent: int | None = None) -> None:
    """Have Linux send SIGTERM to this process when its parent ends; elsewhere do nothing.

    parent: the parent's process id, if it is known. If it has ended already, for which Linux
    sends nothing any more, this process gets its SIGTERM now.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
