"""download: the data set as received, verified."""

from stages import paths
from stages.command import run
from stages.params import load
from stages.paths import PARAMS, ParamsFile


def download(params: ParamsFile = PARAMS) -> None:
    """Download the data set to data/raw; verify its size and digest."""
    values = load(params)

    from alexnet.data.download import download

    download(values.data, paths.RAW)


if __name__ == "__main__":
    run(download)
