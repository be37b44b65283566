"""Run a command, and be there until everything that it started has ended.

The first process of a container: with it the container ends, and at once. DVC does not
wait for the stage that it has started when it is told to stop, so that without this one
training would be killed in the middle of its step instead of writing a checkpoint.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

PR_SET_CHILD_SUBREAPER = 36  # prctl(2): who loses its parent becomes a child of this process


def wait_for_all_children(command: Sequence[str]) -> int:
    """Returns the command's exit code, 128 + n if signal n ended it, after the last of all.

    Signals are not passed on: `tini -g`, which starts this process, sends them to all.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, lambda *_: None)  # noted by no one, but not ended by it
    child = subprocess.Popen(command)
    code = 0
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:  # no one is left
            return code
        if pid == child.pid:
            code = os.waitstatus_to_exitcode(status)
            code = code if code >= 0 else 128 - code


if __name__ == "__main__":
    try:
        sys.exit(wait_for_all_children(sys.argv[1:]))
    except OSError as error:  # the command is not there
        sys.exit(f"error: {error}")
