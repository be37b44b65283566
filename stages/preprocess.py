"""preprocess: decode the images and split them."""

from functools import partial

from stages import paths
from stages.command import run
from stages.data_checks import check_against_data
from stages.params import load, record
from stages.paths import PARAMS, ParamsFile


def preprocess(params: ParamsFile = PARAMS) -> None:
    """Decode, resize and split the images; compute their mean and standard deviation."""
    values = load(params)

    from alexnet.data.preprocess import preprocess

    # train.batch_size and gate.* decide none of the outputs, so DVC does not track them for this
    # stage: a wrong one is only reported here, before a training that it would spoil.
    preprocess(values.data, paths.RAW, paths.PROCESSED, check=partial(check_against_data, values))
    record(paths.PREPROCESS_PARAMS, values)


if __name__ == "__main__":
    run(preprocess)
