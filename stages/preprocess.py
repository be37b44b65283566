"""preprocess: decode the images and split them."""

from alexnet.cli.app import run
from stages import paths
from stages.params import load, record
from stages.paths import PARAMS, ParamsFile


def preprocess(params: ParamsFile = PARAMS) -> None:
    """Decode, resize and split the images; compute their mean and standard deviation."""
    values = load(params)

    from alexnet.data.preprocess import preprocess

    preprocess(values.data, paths.RAW, paths.PROCESSED)
    record(paths.PREPROCESS_PARAMS, values)


if __name__ == "__main__":
    run(preprocess)
