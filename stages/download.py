"""download: bring the data set here and verify it."""

from alexnet import config
from alexnet.cli.app import run
from stages import paths
from stages.paths import PARAMS, ParamsFile


def download(params: ParamsFile = PARAMS) -> None:
    """Bring the data set to data/raw and verify its size and digest."""
    values = config.load(params)

    from alexnet.data.download import download

    download(values.data, paths.RAW)


if __name__ == "__main__":
    run(download)
