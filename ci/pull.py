"""pull: fetch the results of earlier runs, so that only changed stages run."""

from alexnet.cli.app import run
from alexnet.errors import UserError
from ci.remote import dvc, find_remote


def pull() -> None:
    """Fetch data, results and the run-cache from the DVC remote.

    With the run-cache, `dvc repro` restores every stage that has run anywhere before. Outputs
    in dvc.lock that the remote lacks are computed again.
    """
    remote = find_remote()
    try:
        dvc("pull", "--run-cache", "--allow-missing")
    except UserError as error:
        raise UserError(
            f"{remote} cannot be read; check its address, the network and the credentials. {error}"
        ) from None
    print(f"pull: from {remote}")


if __name__ == "__main__":
    run(pull)
