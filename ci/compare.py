"""compare: fails if the model is worse than that of the main branch."""

import json
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer
from ruamel.yaml import YAML

from alexnet.cli.app import fail, run
from alexnet.errors import UserError
from alexnet.files import read_json, read_small_text, sha256, write_json
from stages import paths

COMPARISON = Path("reports/comparison.json")
LOCK = Path("dvc.lock")
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


def compare(base: Base = BASE, max_drop: MaxDrop = MAX_DROP) -> None:
    """Check the gate, and this run's accuracy against the main branch's; fail if it is worse."""
    COMPARISON.unlink(missing_ok=True)  # of an earlier run
    _check_gate()
    accuracy = read_json(paths.METRICS)["accuracy"]
    before = _metrics(base)
    if before is None:
        print(f"compare: {base} has no results yet to compare with; accuracy {accuracy:.4f}")
        return
    drop = before["accuracy"] - accuracy
    passed = drop <= max_drop  # in this order, NaN does not pass
    same_images = _test_images(read_small_text(LOCK, MAX_LOCK_BYTES)) == _test_images(
        _lock(base) or ""
    )
    write_json(
        COMPARISON,
        {
            "passed": passed,
            "base": base,
            "max_drop": max_drop,
            "same_test_images": same_images,
            "metrics": before,
        },
    )
    change = f"accuracy {accuracy:.4f}, on {base} {before['accuracy']:.4f}"
    if not same_images:
        change += " of other test images"
    if not passed:
        fail(
            f"compare: {change}: a drop of {drop:.4f}, where {max_drop:.4f} is allowed. Nothing "
            "is pushed: train better, or allow more with --max-drop (MAX_ACCURACY_DROP)"
        )
    print(f"compare: {change}; a drop of {max_drop:.4f} is allowed")


def _check_gate() -> None:
    verdict = read_json(paths.GATE)
    if not verdict["passed"]:
        raise UserError(f"the model did not pass the gate ({paths.GATE}); nothing is pushed")
    if verdict["weights_sha256"] != sha256(paths.WEIGHTS):
        raise UserError(
            f"{paths.GATE} belongs to other weights than {paths.WEIGHTS}; run `dvc repro`"
        )


def _metrics(revision: str) -> dict[str, Any] | None:
    """The metrics of the evaluate stage at a revision; None if it has not run there."""
    if "evaluate" not in _stages(_lock(revision) or ""):
        return None
    import dvc.api
    from dvc.exceptions import DvcException

    try:
        text = dvc.api.read(paths.METRICS.as_posix(), rev=revision)
    except (DvcException, OSError) as error:
        raise UserError(
            f"the metrics of {revision} are neither in the cache nor on the DVC remote; run "
            f"`dvc push` where they were computed ({error})"
        ) from None
    metrics: dict[str, Any] = json.loads(text)
    return metrics


def _lock(revision: str) -> str | None:
    """The content of dvc.lock at a revision; None if it has none there."""
    if _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") is None:
        raise UserError(
            f"git knows no revision {revision}; `git fetch` it, or name another with --base "
            "(COMPARE_WITH)"
        )
    return _git("show", f"{revision}:./{LOCK}")


def _stages(lock: str) -> dict[str, Any]:
    return (YAML(typ="safe").load(lock) or {}).get("stages", {})


def _test_images(lock: str) -> str | None:
    """The digest of the test images in a dvc.lock."""
    deps = _stages(lock).get("evaluate", {}).get("deps", [])
    return next((dep["md5"] for dep in deps if dep["path"] == TEST_IMAGES), None)


def _git(*arguments: str) -> str | None:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


if __name__ == "__main__":
    run(compare)
