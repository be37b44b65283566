"""A Markdown page whose Python is run, and whose numbers and pictures are what it computed.

Five kinds of places are understood; the rest of the page is text:

    ```python      code, run in order, all in one namespace; in an answer, in a copy of it
    ```text        right after it: its output
    ![what it shows](images/tour/NAME.png)    the figure that the code before it has drawn
    <!--= 6 * 7 -->42<!--/-->    within a sentence: the value of an expression
    <details markdown="1"><summary>Answer</summary> ... </details>    an exercise's answer

Another `<details>` folds code on the page alone; what stands between <!--page--> and <!--/page-->
(links from page to page) is of the page alone as well. `tour.notebook` makes a notebook of it all.
"""

import ast
import contextlib
import difflib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import matplotlib
import torch
from matplotlib import pyplot
from matplotlib.figure import Figure

OPEN_FOLD = '<details markdown="1">\n'
ANSWER = f"{OPEN_FOLD}<summary>Answer</summary>\n"
PLACES = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?"
    r"|<!--= (?P<expression>.*?) -->(?P<value>.*?)<!--/-->"
    r"|^!\[(?P<alt>[^]]*)\]\(images/tour/(?P<picture>\w+)\.png\)\n"
    r'|^<details markdown="1">\n<summary>(?P<fold>.*?)</summary>\n'
    r"|^(?P<end></details>)\n"
    r"|<!--page-->(?P<page>.*?)<!--/page-->\n",
    re.MULTILINE | re.DOTALL,
)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")

ShowFigure = Callable[[str, Figure], None]


def parts(page: str) -> Iterator[str | re.Match[str]]:
    """The page in pieces: text, and the places between it; together they are the page."""
    end = 0
    for place in PLACES.finditer(page):
        yield page[end : place.start()]
        yield place
        end = place.end()
    yield page[end:]


def run_pages(pages: Sequence[str], paths: Sequence[str], show: ShowFigure) -> list[str]:
    """The pages with the output of their code, run in order in one namespace.

    paths: for tracebacks. show(name, figure) is called for each picture.
    """
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever the user's matplotlibrc
        matplotlib.use("agg")
        run = _Run(show)
        return [run.page(page, path) for page, path in zip(pages, paths, strict=True)]


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
    return "".join(
        part if isinstance(part, str) else part["page"] or part["alt"] or "" for part in parts(page)
    )


class _Run:
    """One run of all pages: the names that their code has made so far, and its last figure."""

    def __init__(self, show: ShowFigure) -> None:
        self.names: dict[str, Any] = {"__name__": "tour"}
        self.show = show
        self.figure: Figure | None = None
        self.answer = contextlib.ExitStack()

    def page(self, page: str, path: str) -> str:
        written = [
            part if isinstance(part, str) else self._renew(part, path) for part in parts(page)
        ]
        assert self.figure is None, f"{path}: the last figure is not shown"
        return "".join(written)

    def _renew(self, place: re.Match[str], path: str) -> str:
        above = "\n" * place.string.count("\n", 0, place.start())  # lines are counted in the page
        if (expression := place["expression"]) is not None:
            value = eval(compile(above + expression, path, "eval"), self.names)
            return f"<!--= {expression} -->{value}<!--/-->"
        if place["code"] is not None:
            return self._run_code(place["code"], f"{above}\n", path)
        if place["fold"] == "Answer":
            self._enter_answer()
        elif place["end"]:
            self.answer.close()
        elif (name := place["picture"]) is not None:
            assert self.figure is not None, f"{path}: no code has drawn {name}"
            self.show(name, self.figure)
            self.figure = None
        return place[0]

    def _run_code(self, code: str, above: str, path: str) -> str:
        assert self.figure is None, f"{path}: a figure is not shown before {code[:60]!r}"
        tree = ast.parse(above + code, path)
        # As a notebook has it: the value of an expression at the end is shown.
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, path, "exec"), self.names)
            value = None
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), path, "eval"), self.names)
        figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
        pyplot.close("all")
        if isinstance(value, Figure):
            figures.append(value)
        else:
            assert value is None, f"{path}: print {value!r}, which a notebook would show"
        assert len(figures) <= 1, f"{path}: one figure for each block"
        self.figure = figures[0] if figures else None
        lines = [line.rstrip() for line in printed.getvalue().splitlines()]
        output = "\n".join(["", "```text", *lines, "```", ""]) if lines else ""
        return f"```python\n{code}```\n{output}"

    def _enter_answer(self) -> None:
        """The notebook does not run answers: what follows must not depend on them."""
        before = self.names
        self.names = dict(before)
        self.answer.enter_context(torch.random.fork_rng(devices=[]))
        self.answer.callback(setattr, self, "names", before)


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
