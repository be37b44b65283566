"""The command of each stage in dvc.yaml: run it here or in a container."""

import sys

from alexnet.errors import UserError
from stages.runtime.dvc_process import find_dvc


def main() -> None:
    try:
        dvc = find_dvc()  # before the imports, in whose time DVC may end
    except UserError as error:
        sys.exit(f"error: {error}")

    from alexnet.cli.app import run
    from stages.runtime.stage import command_under

    run(command_under(dvc))


if __name__ == "__main__":
    main()
