"""recover: what a killed DVC has left half-written, before the next one refuses to read it.

DVC rewrites two files in place: its list of locks, .dvc/tmp/rwlock, and dvc.lock. `make repro`
runs this first. It needs Python's standard library alone.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

LOCKS = Path(".dvc/tmp/rwlock")
RECORD = Path("dvc.lock")
WRITING_SECONDS = 1.0  # far more than a DVC that is alive takes to write one of them


def recover() -> None:
    """Put each aside that is not whole. Prints what it did."""
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
