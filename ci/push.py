"""push: store the results of a run that passed the gate and the comparison."""

from alexnet.cli.app import run
from alexnet.errors import UserError
from ci.compare import BASE, MAX_DROP, Base, MaxDrop, compare
from ci.remote import dvc, find_remote
from ci.verify import verify


def push(base: Base = BASE, max_drop: MaxDrop = MAX_DROP) -> None:
    """Send data, results and the run-cache to the DVC remote, compared and verified again."""
    remote = find_remote()
    compare(base, max_drop)
    verify()
    try:
        dvc("push", "--run-cache")
    except UserError as error:
        raise UserError(
            f"{remote} cannot be written; check its address, the network and the "
            f"credentials. {error}"
        ) from None
    print(f"push: to {remote}")


if __name__ == "__main__":
    run(push)
