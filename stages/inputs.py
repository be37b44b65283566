"""What a person hands in must not lie where the pipeline writes: it would be lost.

DVC and the stages replace their outputs. So each stage checks, before anything else, that no
parameter names one of them as an input.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from alexnet import config
from alexnet.errors import UserError
from stages import paths

# All that a stage writes lies in these. (`tests/stages/test_inputs.py` compares dvc.yaml.)
OUTPUTS = (paths.RAW, paths.PROCESSED, paths.WEIGHTS.parent, Path("reports"), paths.ARTIFACTS)
START_OUTPUTS = (paths.PRETRAINED, paths.PRETRAINED_RECORD)


def check_inputs(params: Path, values: config.Params) -> None:
    """Raises UserError if the file `params`, or a path that it names, is among the outputs.

    model.start_from may be another stage's: pretrained has copied it before that stage runs.
    """
    _require_apart("--params", params)
    for source in values.data.local_sources:
        _require_apart(f"{params}: data.source", source)
    for key, outputs in (("start_from", START_OUTPUTS), ("start_source", OUTPUTS)):
        origin = getattr(values.model, key)
        if origin is not None and "://" not in origin:
            _require_apart(f"{params}: model.{key}", Path(os.path.expanduser(origin)), outputs)


def _require_apart(what: str, given: Path, outputs: Sequence[Path] = OUTPUTS) -> None:
    for output in outputs:
        if _overlap(given, output):
            raise UserError(
                f"{what}: {given} is not apart from {output}, where the pipeline replaces what it "
                "finds; move it to a place of its own (data/images, for one) and name that"
            )


def _overlap(one: Path, other: Path) -> bool:
    """Whether a path is the other, in it, or around it; by name, or where links lead."""
    for resolve in (os.path.abspath, os.path.realpath):
        first, second = Path(resolve(one)), Path(resolve(other))
        if first.is_relative_to(second) or second.is_relative_to(first):
            return True
    return False
