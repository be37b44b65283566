"""report: the path of a run's report, or of its comparison with another run; or open it."""

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

REPORT = Path("reports/report.html")
COMPARISON = Path("reports/compare.html")
METRICS = Path("reports/evaluate/metrics.json")
PROCESSED = Path("data/processed")
LOCK = Path("dvc.lock")

logger = logging.getLogger(__name__)


def report(
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="REV",
            help="Write a page that compares the run with that of a git revision or a DVC "
            "experiment instead.",
        ),
    ] = None,
) -> None:
    """Print the path of the run's report and the accuracy that it documents, or open it."""
    import webbrowser

    from alexnet.errors import UserError
    from alexnet.evaluation.results import read_metrics

    if compare is not None:
        _compare(compare)
        page = COMPARISON.resolve()
    elif REPORT.exists():
        page = REPORT.resolve()
        metrics = read_metrics(METRICS)
        logger.info(f"{page}: accuracy {metrics.accuracy:.2%} on {metrics.n:,} test images")
    else:
        raise UserError(
            f"{REPORT} does not exist; `dvc repro plot` makes it (`make demo` makes one in "
            ".demo: go there first)"
        )
    if show and not webbrowser.open(page.as_uri()):
        raise UserError(f"no browser could be started here; open {page} in one")


def _compare(revision: str) -> None:
    """Write the page of the workspace's run beside the revision's."""
    import tempfile

    import numpy as np

    from alexnet.cli.revision import fetch
    from alexnet.data.dataset import load_split
    from alexnet.errors import UserError
    from alexnet.report.compare import FOLDERS, WORKSPACE, read_recorded_run, write_comparison

    ours = read_recorded_run(Path(), WORKSPACE)
    with tempfile.TemporaryDirectory() as folder:
        fetch(revision, (LOCK, *FOLDERS), Path(folder))
        try:
            theirs = read_recorded_run(Path(folder), revision)
        except UserError as error:
            raise UserError(f"{revision}: {error}".replace(f"{folder}/", "")) from None
        digests = _test_digest(LOCK), _test_digest(Path(folder) / LOCK)
    actual = ours.predictions.actual, theirs.predictions.actual
    is_same = digests[0] is not None and digests[0] == digests[1] and np.array_equal(*actual)
    images = load_split(PROCESSED, "test")[0].numpy() if is_same else None
    write_comparison(COMPARISON, ours, theirs, images)
    difference = ours.metrics.accuracy - theirs.metrics.accuracy
    logger.info(
        f"{COMPARISON.resolve()}: accuracy {ours.metrics.accuracy:.2%}, of {revision} "
        f"{theirs.metrics.accuracy:.2%} ({100 * difference:+.2f} points"
        f"{'' if is_same else ', on other test images'})"
    )


def _test_digest(lock: Path) -> str | None:
    """The digest of the test images that a dvc.lock names."""
    from ruamel.yaml import YAML

    content: Any = YAML(typ="safe").load(lock) if lock.exists() else {}
    outs = [out for stage in content.get("stages", {}).values() for out in stage.get("outs", [])]
    wanted = str(PROCESSED / "test.safetensors")
    return next((out.get("md5") for out in outs if out["path"] == wanted), None)
