"""pretrained: the weights to start from, verified."""

from alexnet.cli.app import run
from stages import paths
from stages.params import load
from stages.paths import PARAMS, ParamsFile


def pretrained(params: ParamsFile = PARAMS) -> None:
    """Fetch and check the weights that model.start_from names; none: an empty file."""
    load(params)

    from alexnet.network.parent import save_parent

    save_parent(paths.PRETRAINED, paths.PRETRAINED_RECORD, None)


if __name__ == "__main__":
    run(pretrained)
