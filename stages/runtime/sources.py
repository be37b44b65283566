"""Print params.yaml's data.source as JSON: in the image, for a machine without a YAML parser."""

import json

from alexnet.cli.app import run
from stages import paths
from stages.params import load


def sources() -> None:
    """Print the addresses and paths that data.source names."""
    print(json.dumps(load(paths.PARAMS).data.sources))


if __name__ == "__main__":
    run(sources)
