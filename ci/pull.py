"""pull: fetch what earlier runs have made, so that only what changed is run."""

from alexnet.cli.app import run
from alexnet.errors import UserError
from ci.remote import dvc, find


def pull() -> None:
    """Fetch data, results and the run-cache from the DVC remote.

    With the run-cache `dvc repro` restores what has been run anywhere before. What
    dvc.lock names and the remote lacks is made again.
    """
    remote = find()
    try:
        dvc("pull", "--run-cache", "--allow-missing")
    except UserError as error:
        raise UserError(
            f"{remote} cannot be read; check its address, the network and the credentials. {error}"
        ) from None
    print(f"pull: from {remote}")


if __name__ == "__main__":
    run(pull)
