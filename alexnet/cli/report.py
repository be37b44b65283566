"""report: the path of a run's report; or open it."""

import logging
from pathlib import Path
from typing import Annotated

import typer

REPORT = Path("reports/report.html")
METRICS = Path("reports/evaluate/metrics.json")

logger = logging.getLogger(__name__)


def report(
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Print the path of the run's report and the accuracy that it documents, or open it."""
    import webbrowser

    from alexnet.errors import UserError
    from alexnet.evaluation.results import read_metrics

    if not REPORT.exists():
        raise UserError(
            f"{REPORT} does not exist; `dvc repro plot` makes it (`make demo` makes one in "
            ".demo: go there first)"
        )
    page = REPORT.resolve()
    metrics = read_metrics(METRICS)
    logger.info(f"{page}: accuracy {metrics.accuracy:.2%} on {metrics.n:,} test images")
    if show and not webbrowser.open(page.as_uri()):
        raise UserError(f"no browser could be started here; open {page} in one")
