"""Print what params.yaml reads from this machine: in the image, where there is a YAML parser."""

import json
import os

from alexnet import config
from alexnet.cli.app import run
from stages import paths
from stages.params import load


def sources() -> None:
    """Print the addresses and paths of data.source and of the weights to start from, as JSON."""
    values = load(paths.PARAMS)
    print(json.dumps([*values.data.sources, *start_origins(values.model)]))


def start_origins(model: config.Model) -> list[str]:
    """What model.start_from and model.start_source name; of a model.onnx, its folder."""
    named = [name for name in (model.start_from, model.start_source) if name]
    folders = (os.path.dirname(name) if name.endswith(".onnx") else name for name in named)
    return [folder for folder in folders if folder]


if __name__ == "__main__":
    run(sources)
