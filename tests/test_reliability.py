"""The table of faults names tests that exist."""

import ast
import re

from tests.conftest import ROOT

ROW = re.compile(
    r"^\| (?P<fault>.+?) \| (?P<promise>.+?) \| `(?P<file>tests/\S+?)::(?P<test>\w+)` \|$"
)
LEAST = 60


def test_each_fault_of_the_table_has_its_test():
    lines = (ROOT / "docs/reliability.md").read_text(encoding="utf-8").splitlines()
    cells = [line for line in lines if line.startswith("| ") and " shown by |" not in line]
    rows = [ROW.match(line) for line in cells]
    assert all(rows), [line for line, row in zip(cells, rows, strict=True) if not row]
    assert len({row["fault"] for row in rows}) >= LEAST
    named = {(row["file"], row["test"]) for row in rows}
    assert [each for each in sorted(named) if each[1] not in functions(each[0])] == []


def functions(file: str) -> set[str]:
    """The names of a module's functions; empty if there is no such file."""
    path = ROOT / file
    if not path.is_file():
        return set()
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {node.name for node in body if isinstance(node, ast.FunctionDef)}
