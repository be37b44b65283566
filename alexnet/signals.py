"""Signals: training stops cleanly between two steps, and no process outlives its parent."""

import ctypes
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PR_SET_PDEATHSIG = 1  # prctl(2)
# Names a file with which the main process tells its launcher that it has said why it stops.
REPORTED = "ALEXNET_STOP_REPORTED"


class TrainingInterrupted(Exception):  # noqa: N818 (not an error)
    """A signal stopped training, at the place that the message names.

    `signum`: the signal's number.
    """

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class StoppedBySignal(BaseException):
    """A signal stops this process, wherever it is. `signum`: the signal's number."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class GracefulShutdown:
    """While active, the signals that stop a process only set `received_signal` (0: none so far)."""

    def __init__(self) -> None:
        self.received_signal = 0

    def __enter__(self) -> "GracefulShutdown":
        numbers = handled_signals()
        self._previous = {number: signal.signal(number, self._handle_signal) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            # A process that stops is not stopped again: torchrun and a terminal send two signals.
            is_told = self.received_signal and handler is _stop
            signal.signal(number, signal.SIG_IGN if is_told else handler)

    def _handle_signal(self, signum: int, frame: FrameType | None) -> None:
        self.received_signal = signum


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """In the block, the first signal that stops a process raises StoppedBySignal."""
    previous = {number: signal.signal(number, _stop) for number in handled_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            if signal.getsignal(number) is _stop:
                signal.signal(number, handler)


def handled_signals() -> list[signal.Signals]:
    """SIGNALS, but SIGHUP only where it is not ignored: `nohup` has it ignored for good.

    torchrun handles it all the same, and then passes it on to its processes as a stop.
    """
    by_torchrun = os.environ.get("TORCHELASTIC_SIGNALS_TO_HANDLE", "").split(",")
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN and "SIGHUP" not in by_torchrun
    return [number for number in SIGNALS if number != signal.SIGHUP or not ignored]


def reports_stop() -> bool:
    """Whether this process says why it stops: of those that torchrun has started, one does."""
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0":
        return False
    if path := os.environ.get(REPORTED):
        with suppress(OSError):  # the launcher was killed, and its folder is gone
            Path(path).touch()
    return True


def terminate_with_parent(parent: int | None = None) -> None:
    """Have Linux send SIGTERM to this process when its parent ends; elsewhere do nothing.

    parent: the parent's process id, if it is known. If it has ended already, for which Linux
    sends nothing any more, this process gets its SIGTERM now.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if parent is not None and os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)


def _stop(signum: int, frame: FrameType | None) -> None:
    for number in handled_signals():
        signal.signal(number, signal.SIG_IGN)  # the first one counts
    raise StoppedBySignal(signum)
