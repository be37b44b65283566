"""The command of a stage, whose help names what dvc.yaml says that it reads and writes."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alexnet.cli import app

PIPELINE = Path(__file__).parents[1] / "dvc.yaml"
CODE = ("alexnet", "stages")


def run(command: Callable[..., Any], when_stopped: str = "") -> None:
    """Run a stage, as `python -m stages.<name>` does."""
    asked = "--help" in sys.argv and PIPELINE.exists()  # no stage reads the file otherwise
    app.run(command, when_stopped, epilog=describe_files(command.__name__) if asked else None)


def describe_files(stage: str) -> str:
    """Inputs, parameters and outputs of a stage: a paragraph each."""
    from ruamel.yaml import YAML

    declared = YAML(typ="safe", pure=True).load(PIPELINE)["stages"][stage]
    inputs = [path for path in declared.get("deps", []) if path.split("/")[0] not in CODE]
    outputs = [*_names(declared.get("outs", [])), *_names(declared.get("metrics", []))]
    sections = sorted({key.split(".")[0] for key in _names(declared["params"])})
    found = {"Reads": inputs, "Params": sections, "Writes": outputs}
    return "\n\n".join(f"{what}: {', '.join(names)}" for what, names in found.items() if names)


def _names(declared: list[Any]) -> Iterator[str]:
    """Of what stands alone, has options, or stands in a list under params.yaml."""
    for each in declared:
        if isinstance(each, str):
            yield each
        else:
            ((name, below),) = each.items()
            yield from _names(below) if isinstance(below, list) else [name]
