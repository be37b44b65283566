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
from alexnet.evaluation.warm_start import read_warm_start
from alexnet.files import Share, parse_record, read_record, read_small_text, write_json
from ci.git import git
from stages import paths
from stages.runtime.dvc_files import LOCK, LockedStage, outs_of, parse_lock

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
    """The contents of reports/comparison.json; `metrics` are those of `base`, None if lost.

    starts_from_base: the training started from the weights of `base`, which on other test images
    than its own may have been trained on some of them.
    """

    passed: bool
    base: str
    max_drop: Share
    same_test_images: bool
    starts_from_base: bool
    metrics: Metrics | None

    @property
    def remarks(self) -> str:
        """What keeps the two accuracies from being those of two independent trainings."""
        remarks = "" if self.same_test_images else " of other test images"
        if self.starts_from_base:
            remarks += f"; it started from the weights of {self.base}"
            if not self.same_test_images:
                remarks += ", which may have been trained on some of its test images"
        return remarks


def compare(base: Base = BASE, max_drop: MaxDrop = MAX_DROP) -> None:
    """Check the gate, and this run's accuracy against the main branch's; fail if it is worse."""
    COMPARISON.unlink(missing_ok=True)  # of an earlier run
    require_passed(paths.GATE, paths.WEIGHTS, "nothing is pushed")
    accuracy = read_metrics(paths.METRICS).accuracy
    own = parse_lock(read_small_text(LOCK, MAX_LOCK_BYTES))
    theirs = parse_lock(_lock(base))
    if _digest(paths.METRICS, theirs) is None:
        print(f"compare: {base} has no results yet to compare with; accuracy {accuracy:.4f}")
        return
    before = _metrics(base, theirs)
    drop = before.accuracy - accuracy if before else 0.0
    passed = drop <= max_drop
    same_images = _digest(TEST_IMAGES, own) == _digest(TEST_IMAGES, theirs)
    start = read_warm_start(paths.WARM_START)
    starts_from_base = bool(start and before and start.parent.sha256 == before.weights_sha256)
    comparison = Comparison(passed, base, max_drop, same_images, starts_from_base, before)
    write_json(COMPARISON, asdict(comparison) | {"metrics": before and before.as_dict()})
    if before is None:  # with an error, no later model could be proposed either
        print(
            f"warning: compare: the metrics of {base} are lost, neither in the cache nor on the "
            f"DVC remote; accuracy {accuracy:.4f} is compared with nothing",
            file=sys.stderr,
        )
        return
    change = f"accuracy {accuracy:.4f}, on {base} {before.accuracy:.4f}{comparison.remarks}"
    if not passed:
        fail(
            f"compare: {change}: a drop of {drop:.4f}, where {max_drop:.4f} is allowed. Nothing "
            "is pushed: train better, or allow more with --max-drop (MAX_ACCURACY_DROP)"
        )
    print(f"compare: {change}; a drop of {max_drop:.4f} is allowed")


def read_comparison() -> Comparison:
    """Raises UserError if COMPARISON is missing or damaged."""
    return read_record(COMPARISON, Comparison, "run ci.compare again")


def _metrics(base: str, stages: Mapping[str, LockedStage]) -> Metrics | None:
    """The metrics that the base's dvc.lock names; None if they are lost.

    Raises UserError if they cannot be read, also from a remote that has nothing of that dvc.lock.
    """
    import dvc.api

    from ci.objects import opened_remote

    try:
        content = dvc.api.read(paths.METRICS.as_posix(), rev=base, mode="rb")
    except Exception as error:  # whatever the remote's kind raises
        outs = [out for name, stage in stages.items() for out in outs_of(name, stage)]
        (metrics,) = [out for out in outs if out.path == paths.METRICS]
        with opened_remote("the DVC remote", "read") as remote:
            if remote.lacks(metrics) and remote.holds_any(outs):
                return None
        raise UserError(
            f"the metrics of {base} cannot be read, and the DVC remote may be another: {error}"
        ) from None
    source = f"{paths.METRICS} of {base}"
    return parse_record(content, Metrics, source, "run the stage evaluate there again, and push")


def _lock(revision: str) -> str:
    """The content of dvc.lock at a revision; empty if it has none there."""
    if git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") is None:
        raise UserError(
            f"git knows no revision {revision}; `git fetch` it, or name another with --base "
            "(COMPARE_WITH)"
        )
    return git("show", f"{revision}:./{LOCK}") or ""


def _digest(path: Path, stages: Mapping[str, LockedStage]) -> str | None:
    """The digest of what evaluate has read or written, in a dvc.lock."""
    stage = stages.get("evaluate", LockedStage())
    entries = [*stage.deps, *stage.outs]
    return next((entry.md5 for entry in entries if entry.path == path.as_posix()), None)


if __name__ == "__main__":
    run(compare)
