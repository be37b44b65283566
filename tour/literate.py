"""A Markdown page whose Python is run, and whose numbers are what it printed.

Four kinds of places are understood; the rest of the page is text:

    ```python      code that the reader sees, run in order, all in one namespace
    ```text        right after it: its output
    <!-- python    code that the reader does not see, such as drawing a picture; ends in -->
    <!--= 6 * 7 -->42<!--/-->    within a sentence: the value of an expression
"""

import contextlib
import difflib
import io
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from alexnet.report.style import save_file

PLACES = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n.*?^```\n)?"
    r"|^<!-- python\n(?P<hidden>.*?)^-->\n"
    r"|<!--= (?P<expression>.*?) -->(?P<value>.*?)<!--/-->",
    re.MULTILINE | re.DOTALL,
)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def run(page: str, name: str, pictures: Path) -> str:
    """`run_pages` of one page."""
    return run_pages([page], [name], pictures)[0]


def run_pages(pages: Sequence[str], paths: Sequence[str], pictures: Path) -> list[str]:
    """The pages with the output of their code, run in order in one namespace.

    paths: for tracebacks. The code has `show(name, figure)`, which writes a PNG into the folder
    `pictures`.
    """
    names: dict[str, Any] = {"__name__": "tour", "show": _shower(pictures)}
    return [
        PLACES.sub(partial(_renewed, names=names, name=path), page)
        for page, path in zip(pages, paths, strict=True)
    ]


def differences(old: str, new: str) -> list[str]:
    """The lines that differ by more than one unit in the last digit of a number.

    Another machine may round another way in the end, and so may its numbers; a number
    without decimals has to be the same.
    """
    lines, others = old.splitlines(), new.splitlines()
    if len(lines) != len(others):
        return list(difflib.unified_diff(lines, others, n=0, lineterm=""))
    pairs = zip(lines, others, strict=True)
    return [f"{one!r} is now {two!r}" for one, two in pairs if not _same(one, two)]


def prose(page: str) -> str:
    """What is left to read without code, output and values that are computed."""
    return PLACES.sub("", page)


def _renewed(place: re.Match[str], names: dict[str, Any], name: str) -> str:
    above = "\n" * place.string.count("\n", 0, place.start())  # lines are counted in the page
    if (expression := place["expression"]) is not None:
        value = eval(compile(above + expression, name, "eval"), names)
        return f"<!--= {expression} -->{value}<!--/-->"
    code = place["hidden"] if place["code"] is None else place["code"]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(f"{above}\n{code}", name, "exec"), names)
    if place["code"] is None:
        assert not printed.getvalue(), "what a reader does not see prints nothing"
        return place[0]
    lines = [line.rstrip() for line in printed.getvalue().splitlines()]
    output = "\n".join(["", "```text", *lines, "```", ""]) if lines else ""
    return f"```python\n{code}```\n{output}"


def _shower(pictures: Path) -> Callable[[str, Figure], None]:
    def show(name: str, figure: Figure) -> None:
        save_file(figure, pictures / f"{name}.png")

    return show


def _same(one: str, two: str) -> bool:
    numbers, others = NUMBER.findall(one), NUMBER.findall(two)
    if NUMBER.sub("#", one).split() != NUMBER.sub("#", two).split() or len(numbers) != len(others):
        return False
    return all(_close(number, other) for number, other in zip(numbers, others, strict=True))


def _close(one: str, two: str) -> bool:
    decimals = max(len(number.partition(".")[2]) for number in (one, two))
    unit = 10.0**-decimals if decimals else 0.0
    apart = abs(float(one.replace(",", "")) - float(two.replace(",", "")))
    return apart <= 1.01 * unit
