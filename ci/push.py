"""push: store the results of a run that passed the gate and the comparison."""

from alexnet.cli.app import run
from alexnet.errors import UserError
from ci.compare import BASE, MAX_DROP, Base, MaxDrop, compare
from ci.objects import opened_remote, unusable
from ci.remote import dvc, find_remote
from ci.verify import verify
from stages.runtime.dvc_files import recorded_outs


def push(base: Base = BASE, max_drop: MaxDrop = MAX_DROP) -> None:
    """Send data, results and the run-cache to the DVC remote, compared and verified again.

    What an earlier push has left out is sent as well. Raises UserError if the remote cannot be
    written.
    """
    description = find_remote()
    compare(base, max_drop)
    verify()
    try:
        dvc("push", "--run-cache")
    except UserError as error:
        raise unusable(description, "written", error) from None
    with opened_remote(description, "written") as remote:
        number = remote.complete(recorded_outs())
    if number:
        print(f"push: {number} files of folders that an earlier push had left out")
    print(f"push: to {description}")


if __name__ == "__main__":
    run(push)
