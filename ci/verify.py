"""verify: the copies in DVC's cache of what dvc.lock records are what it records."""

from alexnet.cli.app import run
from alexnet.errors import UserError
from stages.runtime.damage import damaged_copies, explain_damaged_copies
from stages.runtime.dvc_files import recorded_outs


def verify() -> None:
    """Hash every file in DVC's cache that dvc.lock refers to; fail if one is damaged.

    DVC does not: it trusts a file in its cache that is read-only.
    """
    outs = recorded_outs()
    damaged = {out: copies for out in outs if (copies := damaged_copies(out))}
    if damaged:
        raise UserError("\n".join(explain_damaged_copies(*item) for item in damaged.items()))
    print(f"verify: the cached copies of {len(outs)} outputs are intact")


if __name__ == "__main__":
    run(verify)
