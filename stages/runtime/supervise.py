"""Run a command as a child process that ends when DVC or this process does.

DVC passes no signal on: without this, a `dvc repro` that is stopped would leave its trainer
running, without a parent, in a workspace that the next `dvc repro` uses.
"""

import os
import select
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from alexnet.signals import terminate_with_parent

SHELLS = {"sh", "bash", "dash", "zsh", "fish"}


def supervise(command: Sequence[str]) -> int:
    """Run the command to its end; returns its exit code, 128 + n if signal n ended it.

    The child has a process group of its own, so that Ctrl-C reaches it once. SIGTERM, SIGINT
    and SIGHUP are passed on to it. It gets a SIGTERM when DVC ends or this process is killed.
    """
    parents = _open_dvc_process()
    child = subprocess.Popen(command, start_new_session=True, preexec_fn=terminate_with_parent)

    def pass_on(signum: int, frame: FrameType | None) -> None:
        child.send_signal(signum)

    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, pass_on)
    poller = select.poll()
    for descriptor in (*parents, os.pidfd_open(child.pid)):
        poller.register(descriptor, select.POLLIN)
    while child.poll() is None:
        for descriptor, _ in poller.poll():
            if descriptor in parents:
                poller.unregister(descriptor)
                child.terminate()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _open_dvc_process() -> list[int]:
    """A file descriptor of the DVC process that runs this stage; empty without DVC."""
    if "DVC_STAGE" not in os.environ:
        return []
    pid = os.getppid()
    while Path(f"/proc/{pid}/comm").read_text().strip() in SHELLS:
        pid = _parent_of(pid)
    return [os.pidfd_open(pid)]


def _parent_of(pid: int) -> int:
    # The name before it is in brackets and may hold anything, brackets included.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
