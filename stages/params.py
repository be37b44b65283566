"""The parameters of a stage: read once, and checked before anything else is done."""

from pathlib import Path

from alexnet import config
from stages.inputs import check_inputs


def load(path: Path) -> config.Params:
    """Read and check the file of parameters. Raises UserError as `alexnet.config.load`.

    Raises UserError, too, if an input that it names lies among the outputs of the pipeline.
    """
    values = config.load(path)
    check_inputs(path, values)
    return values
