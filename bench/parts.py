"""Parts of a long measurement: each in a child process, with a deadline, and written as it goes.

A part that fails, hangs or crashes is recorded, and the next one runs. This module imports
torch nowhere: only the children do.
"""

import contextlib
import math
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from alexnet.errors import UserError
from alexnet.files import write_json, write_text
from alexnet.signals import terminate_with_parent

SHORTEST = 2.0  # seconds; with less time than that no part begins
MESSAGE_BYTES = 4_000  # of an error, from its end


class Recorder:
    """What a part calls to record figures and checks; each call is written to the disk."""

    def __init__(self, connection: Connection, deadline: float) -> None:
        self.connection, self.deadline = connection, deadline

    def add(self, **figures: Any) -> None:
        """Figures by name, as JSON can hold them; a name that is there already is replaced."""
        self.connection.send(("figures", figures))

    def check(self, name: str, passed: bool, detail: str = "") -> None:
        self.connection.send(("checks", {name: {"passed": bool(passed), "detail": detail}}))

    def seconds_left(self) -> float:
        """Until the part is stopped, where it may be."""
        return self.deadline - time.monotonic()


@dataclass(frozen=True)
class Part:
    """A step of the measurement.

    seconds: after which it is stopped. is_alone: it has a fresh process; other parts follow one
    another in a process, which imports and compiles once.
    """

    name: str
    function: Callable[[Any, Recorder], None]
    seconds: float
    is_alone: bool = False


@dataclass
class Report:
    """All that was recorded, as JSON and as the text that `render` makes of it."""

    folder: Path
    name: str
    head: dict[str, Any]  # with is_rehearsal: then checks are not judged
    render: Callable[[dict[str, Any]], str]

    def __post_init__(self) -> None:
        self.values = {**self.head, "parts": {}}

    def begin(self, part: str) -> dict[str, Any]:
        empty: dict[str, Any] = {"seconds": None, "error": None, "figures": {}, "checks": {}}
        return self.values["parts"].setdefault(part, empty)

    def write(self) -> None:
        values = json_values(self.values)
        write_json(self.folder / f"{self.name}.json", values)
        write_text(self.folder / f"{self.name}.txt", self.render(values))

    @property
    def failures(self) -> list[str]:
        """A line for each part that failed and, but in a rehearsal, each check that did."""
        lines = []
        for name, part in self.values["parts"].items():
            if part["error"]:
                lines.append(f"{name}: {part['error'].splitlines()[-1]}")
            checks = {} if self.head["is_rehearsal"] else part["checks"]
            failed = {k: v for k, v in checks.items() if not v["passed"]}
            lines += [f"{name}: {check}: {v['detail']}" for check, v in failed.items()]
        return lines


def run_parts(parts: Sequence[Part], setup: Any, report: Report, seconds: float) -> None:
    """Run the parts in order, within `seconds` in all; the report holds what became of each.

    setup: what each function gets first; it has to be picklable.
    """
    end = time.monotonic() + seconds
    child: Child | None = None
    for part in parts:
        record = report.begin(part.name)
        start = time.monotonic()
        limit = min(part.seconds, end - start)
        if limit < SHORTEST:
            record["error"] = f"not begun: the {seconds:.0f} seconds were over"
            report.write()
            continue
        if child and part.is_alone:
            child.stop()
            child = None
        child = child or Child(setup)
        record["error"] = child.run(part, limit, lambda: report.write(), record)
        record["seconds"] = time.monotonic() - start
        report.write()
        if record["error"] or part.is_alone:  # an error may have left the device unusable
            child.stop()
            child = None
    if child:
        child.stop()


class Child:
    """A process that runs one part after the other, with the processes that these start."""

    def __init__(self, setup: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, setup))
        self.process.start()
        other.close()

    def run(
        self, part: Part, seconds: float, write: Callable[[], None], record: dict[str, Any]
    ) -> str | None:
        """Run the part and keep what it records; returns its error, or None."""
        deadline = time.monotonic() + seconds
        self.connection.send((part, deadline))
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not self.connection.poll(left):
                return f"stopped: it took more than {seconds:.0f} seconds"
            try:
                kind, content = self.connection.recv()
            except EOFError:
                self.process.join()
                return f"its process ended with code {self.process.exitcode}"
            if kind == "end":
                return content
            record[kind].update(content)
            write()

    def stop(self) -> None:
        """End the process and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # type: ignore[arg-type]
        self.process.kill()  # if it has no group of its own yet
        self.process.join()
        self.connection.close()


def _serve(connection: Connection, setup: Any) -> None:
    os.setsid()  # a group of processes, to be stopped together
    parent = multiprocessing.parent_process()
    assert parent, "multiprocessing started this process"
    terminate_with_parent(parent.pid)
    while True:
        try:
            part, deadline = connection.recv()
        except EOFError:
            return
        error = None
        try:
            part.function(setup, Recorder(connection, deadline))
        except UserError as raised:
            error = str(raised)
        except Exception as raised:
            traceback.print_exc()
            error = "".join(traceback.format_exception(raised)).rstrip()[-MESSAGE_BYTES:]
        connection.send(("end", error))


def json_values(value: Any) -> Any:
    """The value as JSON can hold it: None for a float that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_values(item) for item in value]
    return value
