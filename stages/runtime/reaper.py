"""Run a command, and wait until every process that it started has ended.

This is the first process of a container, which ends with it. DVC does not wait for its stage
when a signal stops it: without this process, training would be killed in the middle of a step
instead of writing a checkpoint.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

PR_SET_CHILD_SUBREAPER = 36  # prctl(2): orphans become children of this process


def wait_for_all_children(command: Sequence[str]) -> int:
    """Returns the command's exit code, 128 + n if signal n ended it, after the last child's end.

    Signals are not passed on: `tini -g`, which starts this process, sends them to the group.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)  # does not end this process
    child = subprocess.Popen(command)
    code = 0
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:  # no child is left
            return code
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else 128 - code


if __name__ == "__main__":
    try:
        sys.exit(wait_for_all_children(sys.argv[1:]))
    except OSError as error:  # there is no such command
        sys.exit(f"error: {error}")
