"""A command as a child that is told to stop whenever this process is, or is left alone.

DVC passes no signal on: a `dvc repro` that is stopped would leave its trainer behind,
without a parent, writing into a workspace in which the next one runs.
"""

import ctypes
import os
import select
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

SHELLS = {"sh", "bash", "dash", "zsh", "fish"}
PR_SET_PDEATHSIG = 1  # prctl(2)


def supervise(command: Sequence[str]) -> int:
    """Run the command to its end; returns its exit code, 128 + n if signal n ended it.

    SIGTERM, SIGINT and SIGHUP are passed on to it alone (it is in a group of its own, so
    that Ctrl-C reaches it once). It gets a SIGTERM, too, when DVC is gone, and when
    this process is killed.
    """
    parents = _watched()
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=_end_with_parent)

    def pass_on(signum: int, frame: FrameType | None) -> None:
        child.send_signal(signum)

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, pass_on)
    waiting = select.poll()
    ended = os.pidfd_open(child.pid)
    for descriptor in (*parents, ended):
        waiting.register(descriptor, select.POLLIN)
    while child.poll() is None:
        for descriptor, _ in waiting.poll():
            if descriptor in parents:
                waiting.unregister(descriptor)
                child.terminate()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _watched() -> list[int]:
    """A descriptor for the DVC process that runs this stage; none if no DVC does."""
    if "DVC_STAGE" not in os.environ:
        return []
    pid = os.getppid()
    while Path(f"/proc/{pid}/comm").read_text().strip() in SHELLS:
        pid = _parent(pid)
    return [os.pidfd_open(pid)]


def _parent(pid: int) -> int:
    # The name before it is in brackets and may hold anything, brackets included.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
