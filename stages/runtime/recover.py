"""recover: what a killed DVC has left half-written, before the next one refuses to read it.

DVC rewrites two files in place: its list of locks, .dvc/tmp/rwlock, and dvc.lock. Beside an output
that it copies it leaves the part that it has copied, which nothing would ever remove. `make repro`
runs this first. It imports no library.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from stages.runtime.dvc_process import lock_holders

LOCKS = Path(".dvc/tmp/rwlock")
RECORD = Path("dvc.lock")
WRITING_SECONDS = 1.0  # far more than a DVC that is alive takes to write one of them
OUTPUTS = ("data", "models", "reports", "artifacts")
PARTIAL_COPY = re.compile(r"\.[A-Za-z0-9_-]{22}\.tmp")  # as DVC names it (dvc_objects.fs.utils)


def recover() -> None:
    """Put aside or remove what is not whole. Prints what it did to the two files."""
    if is_cut(LOCKS, _is_json):
        LOCKS.unlink()
        _say(f"{LOCKS} was removed: a DVC that was killed had left it half-written")
    if is_cut(RECORD, _ends_a_line):
        aside = RECORD.with_name(f"{RECORD.name}.damaged")
        RECORD.replace(aside)
        _say(
            f"{RECORD} was half-written by a DVC that was killed; it is now {aside}. "
            "DVC finds in its run-cache what has been run"
        )
    if Path(".dvc").is_dir() and not any(map(_is_alive, lock_holders())):
        for output in OUTPUTS:
            remove_partial_copies(output)


def remove_partial_copies(output: str) -> None:
    """Those in a folder of outputs, at any depth; no DVC may be at work."""
    for folder, _, names in os.walk(output):
        for name in filter(PARTIAL_COPY.fullmatch, names):
            Path(folder, name).unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True


def is_cut(path: Path, is_whole: Callable[[bytes], bool]) -> bool:
    """Whether the file is there, and stays for a second as no writer would leave it."""
    end = time.monotonic() + WRITING_SECONDS
    while time.monotonic() < end:
        try:
            if is_whole(path.read_bytes()):
                return False
        except FileNotFoundError:
            return False
        time.sleep(0.1)
    return True


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:  # UnicodeDecodeError too
        return False
    return True


def _ends_a_line(content: bytes) -> bool:
    return content.endswith(b"\n")


def _say(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


if __name__ == "__main__":
    recover()
