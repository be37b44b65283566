"""Make each odd input, run it, and print the table."""

import importlib
import pkgutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

import tests.odd
from tests.odd.case import Case


def all_cases() -> list[Case]:
    names = sorted(module.name for module in pkgutil.iter_modules(tests.odd.__path__))
    modules = [
        importlib.import_module(f"tests.odd.{name}")
        for name in names
        if not name.startswith(("_", "test_"))
    ]
    return [case for module in modules for case in getattr(module, "CASES", ())]


def main(words: Sequence[str] = ()) -> int:
    """The exit code: 1 if one is not as expected."""
    table = Table("input", "what happened", "as expected", show_lines=False)
    cases = [c for c in all_cases() if not words or any(word in c.name for word in words)]
    num_wrong = 0
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            outcome = case.run(Path(folder)).replace(folder, "...")
        right = case.is_as_expected(outcome)
        num_wrong += not right
        table.add_row(case.name, outcome, "yes" if right else f"NO: {case.expected}")
    console = Console(width=160, markup=False, highlight=False)
    console.print(table)
    console.print(f"{len(cases)} inputs, {num_wrong} not as expected")
    return int(num_wrong > 0 or not cases)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
