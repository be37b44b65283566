"""own: the whole pipeline on images of one's own, in the workspace .own.

`make own` gives its arguments as variables, so that a name may hold spaces and quotes.
"""

import logging
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from alexnet import config
from alexnet.cli.app import run
from alexnet.errors import UserError
from alexnet.evaluation.results import Metrics, read_metrics
from alexnet.files import write_text
from stages import paths
from stages.preset import values_of, with_values

WORKSPACE = Path(".own")
USAGE = "make own IMAGES=path/to/images, a folder (or an archive) with a folder for each class"

logger = logging.getLogger("stages.own")


def own(
    images: Annotated[
        str, typer.Option(envvar="IMAGES", help="A folder or an archive: <class>/<image>.")
    ] = "",
    start: Annotated[
        str,
        typer.Option(
            envvar="START", help="Weights to start from: imagenet (a download), or a file."
        ),
    ] = "",
) -> None:
    """Train on your own images in .own, from download to a verified artifact.

    The first call writes .own/params.yaml by presets/own.yaml; later ones keep your changes in it.
    """
    params = WORKSPACE / paths.PARAMS
    if not images and not params.exists():
        raise UserError(f"no images are named; {USAGE}")
    is_new = not params.exists()
    text = config.read(paths.PARAMS if is_new else params)
    values: dict[str, dict[str, Any]] = {}
    if is_new or start:
        values = values_of(paths.PRESETS / "own.yaml")
        if start == "imagenet":
            values |= values_of(paths.PRESETS / "imagenet.yaml") | {"gate": values["gate"]}
        elif start:
            values["model"] = {"start_from": _absolute(start, "START")}
    if images:
        values.setdefault("data", {})["source"] = _absolute(images, "IMAGES")
    elif "data" in values:
        values["data"].pop("source")
    text = with_values(text, values)
    config.parse(text, params)
    WORKSPACE.mkdir(exist_ok=True)
    write_text(params, text)
    _call(Path("demo/workspace").resolve(), WORKSPACE)
    _call(sys.executable, "-m", "alexnet.cli.main", "verify", WORKSPACE / paths.ARTIFACTS)
    for line in closing_lines(read_metrics(WORKSPACE / paths.METRICS), start):
        logger.info(line)


def _absolute(name: str, variable: str) -> str:
    """A path of this machine as the workspace names it; an address stays."""
    if "://" in name:
        return name
    path = Path(os.path.abspath(os.path.expanduser(name)))
    if not path.exists():
        advice = f"; {USAGE}" if variable == "IMAGES" else ""
        raise UserError(f"{variable}: {path} does not exist{advice}")
    return str(path)


def _call(*command: object) -> None:
    """Run a part, which explains its own failure; that ends this command with its code."""
    done = subprocess.run(list(map(str, command)))
    if done.returncode:
        sys.exit(done.returncode)


def closing_lines(metrics: Metrics, start: str) -> list[str]:
    """What came of it, how far that can be believed, and what to do next."""
    supports = [row.support for row in metrics.per_class.values()]
    chance = max(supports) / metrics.n
    error = math.sqrt(metrics.accuracy * (1 - metrics.accuracy) / metrics.n)
    lines = [
        "",
        f"accuracy {metrics.accuracy:.1%} on {metrics.n:,} test images, standard error "
        f"{error:.1%}; always predicting the most frequent class: {chance:.1%}",
    ]
    if metrics.accuracy - 2 * error <= chance:
        lines.append("that may be chance: the network has learned little that it can be sure of")
    lines += [
        "",
        f"The report: {WORKSPACE / paths.REPORT}     "
        f"The model, verified: {WORKSPACE / paths.ARTIFACTS}/",
        "",
    ]
    if not start:
        lines += [
            "For photographs, ImageNet's weights are the better start (244 MB to download; "
            "docs/finetuning.md):",
            "",
            "    make own START=imagenet",
            "",
        ]
    return [
        *lines,
        "Now use it:",
        "",
        f"    source .venv/bin/activate && cd {WORKSPACE}",
        "    alexnet report --open",
        "    alexnet predict artifacts photo.jpg",
        "    dvc exp run -S train.epochs=60",
        "    dvc exp show --only-changed --drop '.*/'",
    ]


if __name__ == "__main__":
    run(own)
