"""The parameters of a stage: read once, and checked before anything else is done."""

from pathlib import Path

from alexnet import config


def load(path: Path) -> config.Params:
    """Read and check the file of parameters. Raises UserError as `alexnet.config.load`."""
    return config.load(path)
