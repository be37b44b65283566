"""preset: the values of a named recipe, written into params.yaml."""

import io
import logging
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from alexnet import config
from alexnet.cli.app import run
from alexnet.errors import UserError, choose_from
from alexnet.files import write_text
from alexnet.nested import dotted_keys
from stages.paths import PARAMS, PRESETS, ParamsFile

logger = logging.getLogger("stages.preset")


def preset(
    name: Annotated[str, typer.Argument(help="Of presets/NAME.yaml.")], params: ParamsFile = PARAMS
) -> None:
    """Write a preset's values into params.yaml; all others, and the comments, stay."""
    names = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    if name not in names:
        raise UserError(f"there is no preset {name} in {PRESETS}/; {choose_from(name, names)}")
    source = PRESETS / f"{name}.yaml"
    before = config.load(params)
    text = with_values(config.read(params), values_of(source))
    after = config.parse(text, source)  # a preset that does not fit changes nothing
    write_text(params, text)
    old = dict(dotted_keys(before.model_dump()))
    for key, value in dotted_keys(after.model_dump()):
        if value != old[key]:
            logger.info(f"{key}: {old[key]} -> {value}")
    logger.info(f"{params} has the values of {source}")


def values_of(source: Path) -> dict[str, dict[str, Any]]:
    values = config.parse_yaml(config.read(source), source)
    if not isinstance(values, dict) or not all(isinstance(each, dict) for each in values.values()):
        raise UserError(f"{source} should hold values by section, as params.yaml does")
    return values


def with_values(text: str, values: dict[str, dict[str, Any]]) -> str:
    """The text of a YAML file with other values, by section and key; its form stays."""
    yaml = YAML()  # which writes null as no value, as DVC does
    yaml.width = config.MAX_BYTES  # no line is folded
    document = yaml.load(text)
    for section, changes in values.items():
        document.setdefault(section, {}).update(changes)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


if __name__ == "__main__":
    run(preset)
