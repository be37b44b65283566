"""A progress bar on a terminal; silence in a log, where a line at the end says more."""

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
        """Say that `num_done` more are done; a `note` replaces the text behind the bar."""


@contextmanager
def progress(title: str, total: int, done: int = 0) -> Iterator[Advance]:
    """Yield a function that advances a bar of `total` units; the bar goes when it ends.

    `done` of the units were done before.
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
