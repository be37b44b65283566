"""A progress bar on a terminal; nothing in a log, where one line at the end is enough."""

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
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task(title, total=total, completed=done, note="")

        def advance(num_done: int = 1, note: str = "") -> None:
            bar.update(task, advance=num_done)
            if note:
                bar.update(task, note=note)

        yield advance
