"""Output that cannot be printed decides no run.

The reader of a pipe leaves (`| head -1`), a terminal is closed, the disk of a log is full: from
then on stdout or stderr is /dev/null, for this process and its children, and the work goes on.
Of a command whose product is its stdout, the failure is reported at the end.
"""

import errno
import io
import os
import select
import signal
import sys
from typing import Any, BinaryIO, NoReturn, TextIO, cast


class _Descriptor(io.FileIO):
    """stdout's or stderr's file descriptor, below Python's buffer; a failure makes it /dev/null."""

    failure: OSError | None = None
    before: TextIO | None = None  # the stream in whose place it is

    def write(self, data: Any, /) -> int:
        try:
            while (written := super().write(data)) is None:  # not blocking, and the reader is slow
                select.select([], [self], [])
        except OSError as error:
            self.failure = error
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return memoryview(data).nbytes
        return written


def guard_output(is_product: bool = False) -> None:
    """Let nothing that stdout or stderr cannot take raise an error. Repeated calls are harmless.

    is_product: stdout is what the command is for, and not its log, in which a character that the
    terminal does not know is escaped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened would take its place
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = _guarded(sys.stdout, 1, "" if is_product else "backslashreplace")
    sys.stderr = _guarded(sys.stderr, 2)


def end_of_output() -> None:
    """For a command whose product is its stdout: raises OSError if that could not be written.

    If the reader has left, the process ends here without a word, as other programs do: by SIGPIPE.
    """
    sys.stdout.flush()
    failure = getattr(_raw(sys.stdout), "failure", None)
    if failure is None:
        return
    if failure.errno == errno.EPIPE:
        _end_by_sigpipe()
    raise OSError(f"the output could not be written: {os.strerror(failure.errno)}")


def _end_by_sigpipe() -> NoReturn:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)
    sys.exit(128 + signal.SIGPIPE)  # where it is blocked


def _raw(stream: TextIO) -> object:
    """What is below the buffer, or takes its place with `python -u`."""
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)


def _guarded(stream: TextIO | None, number: int, errors: str = "") -> TextIO:
    """The same stream on a guarded descriptor; another one, such as a test's, stays as it is."""
    if stream is None:  # it was closed when Python started
        stream = open(number, "w", closefd=False)  # noqa: SIM115 (it stays open)
    raw = _raw(stream)
    if not isinstance(raw, io.FileIO) or isinstance(raw, _Descriptor) or raw.fileno() != number:
        return stream
    stream.flush()
    descriptor = _Descriptor(number, "w", closefd=False)
    descriptor.before = stream  # it would close the file if nothing held it
    return io.TextIOWrapper(
        cast(BinaryIO, descriptor if stream.buffer is raw else io.BufferedWriter(descriptor)),
        encoding=stream.encoding,
        errors=errors if errors and stream.errors == "strict" else stream.errors,
        line_buffering=getattr(stream, "line_buffering", False),
        write_through=stream.buffer is raw,
    )
