"""compare: fails if the model is worse than that of the main branch."""

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
from stages.runtime.dvc_files import LOCK, LockedStage, parse_lock

COMPARISON = Path("reports/comparison.json")
MAX_LOCK_BYTES = 1_000_000  # the project's own has 20,000
TEST_IMAGES = (paths.PROCESSED / "test.safetensors").as_posix()

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
        print(f"compare: {base} has no results yet to compare with; accuracy {accuracy:.4f}")
        return
    drop = before.accuracy - accuracy
    passed = drop <= max_drop
    own = _test_images(read_small_text(LOCK, MAX_LOCK_BYTES))
    same_images = own == _test_images(_lock(base) or "")
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
    """The metrics of the evaluate stage at a revision; None if it has not run there."""
    if "evaluate" not in parse_lock(_lock(revision) or ""):
        return None
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        content = dvc.api.read(paths.METRICS.as_posix(), rev=revision, mode="rb")
    except (DvcException, OSError) as error:
        raise UserError(
            f"the metrics of {revision} are neither in the cache nor on the DVC remote; run "
            f"`dvc push` where they were computed ({error})"
        ) from None
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


def _test_images(lock: str) -> str | None:
    """The digest of the test images in a dvc.lock."""
    stage = parse_lock(lock).get("evaluate", LockedStage())
    return next((dep.md5 for dep in stage.deps if dep.path == TEST_IMAGES), None)


if __name__ == "__main__":
    run(compare)
