"""compare: fails if the model is worse than that of the main branch."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.app import fail, run
from alexnet.errors import UserError
from alexnet.evaluation.gate import require_passed
from alexnet.evaluation.results import Metrics, read_metrics
from alexnet.files import Share, parse_record, read_record, read_small_text, write_json
from ci.git import git
from stages import paths
from stages.runtime.dvc_files import LOCK, LockedStage, Out, parse_lock

COMPARISON = Path("reports/comparison.json")
MAX_LOCK_BYTES = 1_000_000  # the project's own has 20,000
TEST_IMAGES = paths.PROCESSED / "test.safetensors"

Base = Annotated[
    str, typer.Option("--base", envvar="COMPARE_WITH", help="The git revision to compare with.")
]
MaxDrop = Annotated[
    float,
    typer.Option(
        envvar="MAX_ACCURACY_DROP", min=0, max=1, help="The largest drop of accuracy that passes."
    ),
]
BASE = "origin/main"
MAX_DROP = 0.005


@dataclass(frozen=True)
class Comparison:
    """The contents of reports/comparison.json; `metrics` are those of `base`."""

    passed: bool
    base: str
    max_drop: Share
    same_test_images: bool
    metrics: Metrics


def compare(base: Base = BASE, max_drop: MaxDrop = MAX_DROP) -> None:
    """Check the gate, and this run's accuracy against the main branch's; fail if it is worse."""
    COMPARISON.unlink(missing_ok=True)  # of an earlier run
    require_passed(paths.GATE, paths.WEIGHTS, "nothing is pushed")
    accuracy = read_metrics(paths.METRICS).accuracy
    before = _metrics(base)
    if before is None:
        print(f"compare: accuracy {accuracy:.4f}")
        return
    drop = before.accuracy - accuracy
    passed = drop <= max_drop
    locks = (read_small_text(LOCK, MAX_LOCK_BYTES), _lock(base) or "")
    own, theirs = (_digest(TEST_IMAGES, parse_lock(lock)) for lock in locks)
    same_images = own == theirs
    comparison = Comparison(passed, base, max_drop, same_images, before)
    write_json(COMPARISON, asdict(comparison) | {"metrics": before.as_dict()})
    change = f"accuracy {accuracy:.4f}, on {base} {before.accuracy:.4f}"
    if not same_images:
        change += " of other test images"
    if not passed:
        fail(
            f"compare: {change}: a drop of {drop:.4f}, where {max_drop:.4f} is allowed. Nothing "
            "is pushed: train better, or allow more with --max-drop (MAX_ACCURACY_DROP)"
        )
    print(f"compare: {change}; a drop of {max_drop:.4f} is allowed")


def read_comparison() -> Comparison:
    """Raises UserError if COMPARISON is missing or damaged."""
    return read_record(COMPARISON, Comparison, "run ci.compare again")


def _metrics(revision: str) -> Metrics | None:
    """The metrics of the evaluate stage at a revision; None, and a line why, if there are none."""
    digest = _digest(paths.METRICS, parse_lock(_lock(revision) or ""))
    if digest is None:
        print(f"compare: {revision} has no results yet to compare with")
        return None
    import dvc.api
    from dvc.exceptions import DvcException

    from ci.objects import opened_remote

    try:
        content = dvc.api.read(paths.METRICS.as_posix(), rev=revision, mode="rb")
    except (DvcException, OSError) as error:
        with opened_remote("the DVC remote", "read") as remote:
            is_lost = remote.lacks(Out("evaluate", paths.METRICS, digest))
        if not is_lost:
            raise UserError(f"the metrics of {revision} cannot be read: {error}") from None
        # With an error, no later model could be proposed either.
        print(
            f"warning: compare: the metrics of {revision} are neither in the cache nor on the DVC "
            "remote; this model is compared with nothing",
            file=sys.stderr,
        )
        return None
    source = f"{paths.METRICS} of {revision}"
    return parse_record(content, Metrics, source, "run the stage evaluate there again, and push")


def _lock(revision: str) -> str | None:
    """The content of dvc.lock at a revision; None if it has none there."""
    if git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") is None:
        raise UserError(
            f"git knows no revision {revision}; `git fetch` it, or name another with --base "
            "(COMPARE_WITH)"
        )
    return git("show", f"{revision}:./{LOCK}")


def _digest(path: Path, stages: Mapping[str, LockedStage]) -> str | None:
    """The digest of what evaluate has read or written, in a dvc.lock."""
    stage = stages.get("evaluate", LockedStage())
    entries = [*stage.deps, *stage.outs]
    return next((entry.md5 for entry in entries if entry.path == path.as_posix()), None)


if __name__ == "__main__":
    run(compare)
