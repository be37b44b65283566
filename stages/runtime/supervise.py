"""Run a command as a child process that ends when DVC or this process does.

DVC passes no signal on: without this, a `dvc repro` that is stopped would leave its trainer
running, without a parent, in a workspace that the next `dvc repro` uses.
"""

import os
import select
import signal
import subprocess
from collections.abc import Callable, Sequence
from types import FrameType

from alexnet.signals import handled_signals, terminate_with_parent
from stages.runtime.dvc_process import DvcProcess

LOOK_SECONDS = 3.0


def supervise(
    command: Sequence[str],
    dvc: DvcProcess | None = None,
    look: Callable[[], None] | None = None,
) -> int:
    """Run the command to its end; returns its exit code, 128 + n if signal n ended it.

    The child has a process group of its own, so that Ctrl-C reaches it once. SIGTERM, SIGINT
    and SIGHUP are passed on to it. It gets a SIGTERM when `dvc` ends or this process is killed.
    look: called every few seconds. Raises UserError, and starts nothing, if `dvc` has ended.
    """
    if dvc:
        dvc.require_alive()
    pid = os.getpid()
    child = subprocess.Popen(
        command, start_new_session=True, preexec_fn=lambda: terminate_with_parent(pid)
    )

    def pass_on(signum: int, frame: FrameType | None) -> None:
        child.send_signal(signum)

    for signum in handled_signals():  # not SIGHUP under nohup: an engine's client would pass it on
        signal.signal(signum, pass_on)
    poller = select.poll()
    poller.register(os.pidfd_open(child.pid), select.POLLIN)
    if dvc:
        poller.register(dvc.descriptor, select.POLLIN)
    while child.poll() is None:
        for descriptor, _ in poller.poll(1000 * LOOK_SECONDS if look else None):
            if dvc and descriptor == dvc.descriptor:
                poller.unregister(descriptor)
                child.terminate()
        if look:
            look()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode
