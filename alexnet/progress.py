"""A progress bar on a terminal (in a log one line at the end is enough); times, sizes in words."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from alexnet.escape import for_terminal

UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6))


def format_seconds(seconds: float, digits: int = 3) -> str:
    """A time with so many significant digits, in the largest unit of which it has one or more.

    A GPU's times are a thousandth of a CPU's, and both have to be read: 1.5 h, 270 ms, 2.71 µs.
    """
    unit, length = next((each for each in UNITS if seconds >= each[1]), UNITS[-1])
    return f"{significant(seconds / length, digits)} {unit}"


def significant(value: float, digits: int = 3) -> str:
    """At least so many significant digits, and all of those before the point."""
    before = math.floor(math.log10(abs(value))) + 1 if value else 1
    return f"{value:,.{max(0, digits - before)}f}"


def in_bytes(number: int) -> str:
    """Bytes with two or three digits: "812 B", "24.6 kB", "233 MB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.{0 if number >= 100 * size else 1}f} {unit}"
    return f"{number} B"


class Advance(Protocol):
    def __call__(self, num_done: int = 1, note: str = "") -> None:
        """Advance the bar by `num_done` units; a `note` replaces the text after it."""


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Yield a function that advances a bar of `total` units, which is removed at the end.

    done: units that were complete before, such as the bytes of a resumed download.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task(for_terminal(title), total=total, completed=done, note="")

        def advance(num_done: int = 1, note: str = "") -> None:
            bar.update(task, advance=num_done)
            if note:
                bar.update(task, note=note)

        yield advance
