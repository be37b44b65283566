"""The parameters of a stage: read once, checked before anything else is done, and recorded.

What a page or a manifest says of a run comes from these records: params.yaml may have been edited
since.
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from alexnet import config
from alexnet.errors import UserError
from alexnet.files import abbreviate, explain_validation, read_record, write_json
from alexnet.nested import dotted_keys
from stages import paths
from stages.inputs import check_inputs
from stages.runtime.engine import PARAMS_SHA256

# What a stage records: sections of params.yaml, without the keys that do not decide its result.
# (Where the source came from is download's, and may be a path of this machine.)
RECORDED: dict[Path, dict[str, set[str]]] = {
    paths.PREPROCESS_PARAMS: {"data": {"source", "sha256"}},
    paths.TRAIN_PARAMS: {"model": config.ORIGIN_ONLY, "train": config.EXECUTION_ONLY},
    paths.EVALUATE_PARAMS: {"evaluate": set()},
}


def load(path: Path) -> config.Params:
    """Read and check the file of parameters.

    Raises UserError as `alexnet.config.load`, if the file is another than the one for which the
    stage was started, and if an input that it names lies among the outputs of the pipeline.
    """
    text = config.read(path)
    expected = os.environ.get(PARAMS_SHA256)
    if expected and hashlib.sha256(text.encode()).hexdigest() != expected:
        raise UserError(f"{path} was edited while the stage started; start it again")
    values = config.parse(text, path)
    check_inputs(path, values)
    return values


def record(path: Path, values: config.Params, project: Path = Path()) -> None:
    """Write the parameters that the stage with this record has read."""
    write_json(project / path, _recordable(path, values))


def require_recorded(values: config.Params) -> None:
    """Raises UserError if train and evaluate have read other parameters than `values`."""
    for path in (paths.TRAIN_PARAMS, paths.EVALUATE_PARAMS):
        theirs, ours = (
            dict(dotted_keys(each)) for each in (_read(path), _recordable(path, values))
        )
        if differing := [key for key in theirs | ours if theirs.get(key) != ours.get(key)]:
            raise UserError(
                f"{path}: {abbreviate(differing)} had another value then; {_advice(path)}"
            )


def read_records() -> dict[str, Any]:
    """The recorded sections. Raises UserError if a record is missing or damaged."""
    return {name: section for path in RECORDED for name, section in _read(path).items()}


def as_recorded(values: config.Params) -> config.Params:
    """The parameters with the sections that train and evaluate have recorded in place of theirs.

    evaluate.device, where to compute, stays that of `values`. Raises UserError if a record is
    missing, damaged or of another version.
    """
    sections = {}
    for path in (paths.TRAIN_PARAMS, paths.EVALUATE_PARAMS):
        found = _read(path)
        for name, left_out in RECORDED[path].items():
            present = getattr(values, name)
            section = present.model_dump(include=left_out) | found.get(name, {})
            try:
                sections[name] = type(present).model_validate(section)
            except ValidationError as error:
                what = f"{name}.{explain_validation(error)}"
                raise UserError(f"{path}: {what}; {_advice(path)}") from None
    device = {"device": values.evaluate.device}
    sections["evaluate"] = sections["evaluate"].model_copy(update=device)
    return values.model_copy(update=sections)


def _recordable(path: Path, values: config.Params) -> dict[str, dict[str, Any]]:
    sections = RECORDED[path].items()
    return {name: getattr(values, name).model_dump(exclude=out) for name, out in sections}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    return read_record(path, dict[str, dict[str, Any]], _advice(path))


def _advice(path: Path) -> str:
    return f"run the stage {path.parent.name} again"
