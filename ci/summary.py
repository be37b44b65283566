"""summary: the results of a run in Markdown, for the page of the job and the pull request.

The page cannot show local pictures: it draws the curves from their numbers (Mermaid). The pull
request gets pictures (ci/propose.sh).
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Annotated

import typer

from alexnet.cli.app import run
from alexnet.escape import for_markdown
from alexnet.evaluation.gate import read_verdict
from alexnet.evaluation.results import ClassMetrics, Metrics, read_metrics
from alexnet.files import read_rows
from alexnet.training.history import Epoch
from ci.compare import COMPARISON, Comparison, read_comparison
from stages import paths

MAX_CHARACTERS = 50_000  # of the table of classes; GitHub takes a pull request's text up to 65,536
TITLES = {  # of evaluate's metrics
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "top5_accuracy": "top-5 accuracy",
    "linear_probe_accuracy": "linear probe's accuracy",
    "loss": "loss",
    "calibration_error": "calibration error",
    "n": "test images",
}


def summary(
    curves: Annotated[bool, typer.Option(help="Draw the curves of the training.")] = True,
) -> None:
    """Print metrics, gate, comparison and curves, as far as they exist."""
    lines = ["# Retraining", ""]
    if not paths.METRICS.exists():
        lines += ["No model was evaluated; the log says why.", ""]
    else:
        metrics = read_metrics(paths.METRICS)
        comparison = read_comparison() if COMPARISON.exists() else None
        lines += [*_verdicts(comparison), "", *_figures(metrics, comparison), ""]
        lines += _classes(metrics.per_class)
    if curves and paths.HISTORY.exists():
        rows = read_rows(paths.HISTORY, Epoch, "run the stage train again")
        lines += _curves("Accuracy", rows, "train_accuracy", "val_accuracy")
        lines += _curves("Loss", rows, "train_loss", "val_loss")
    print("\n".join(lines))


def _verdicts(comparison: Comparison | None) -> list[str]:
    lines = []
    if paths.GATE.exists():
        verdict = read_verdict(paths.GATE)
        checks = [
            f"{for_markdown(check.metric)} {check.value:.4f}, "
            f"{'at least' if check.minimum else 'at most'} {check.threshold:.4f}"
            for check in verdict.checks
        ]
        lines.append(f"- Gate: **{_word(verdict.passed)}** ({'; '.join(checks) or 'no threshold'})")
    if comparison is None:
        return [*lines, "- Comparison: none was made"]
    if comparison.metrics is None:
        base = for_markdown(comparison.base)
        return [*lines, f"- Comparison with {base}: **none was made**, its metrics are lost"]
    return [
        *lines,
        f"- Comparison with {for_markdown(comparison.base)}: **{_word(comparison.passed)}** "
        f"(a drop of {comparison.max_drop:.4f} is allowed){for_markdown(comparison.remarks)}",
    ]


def _word(passed: bool) -> str:
    return "passed" if passed else "failed"


def _figures(metrics: Metrics, comparison: Comparison | None) -> list[str]:
    columns = {"this run": metrics}
    if comparison and comparison.metrics:
        columns[comparison.base] = comparison.metrics
    rows = [["test split", *columns]]
    rows += [
        [title, *(_number(getattr(figures, key)) for figures in columns.values())]
        for key, title in TITLES.items()
        if getattr(metrics, key) is not None
    ]
    return _table(rows)


def _classes(per_class: Mapping[str, ClassMetrics]) -> list[str]:
    rows = [["class", "precision", "recall", "images"]]
    rows += [
        [name, *map(_number, (figures.precision, figures.recall, figures.support))]
        for name, figures in per_class.items()
    ]
    table = _table(rows)
    if sum(map(len, table)) > MAX_CHARACTERS:
        return [f"The {len(per_class)} classes are in {paths.METRICS}: too many for this page.", ""]
    title = f"<summary>Each of the {len(per_class)} classes</summary>"
    return ["<details>", title, "", *table, "", "</details>", ""]


def _curves(title: str, rows: Sequence[Epoch], train: str, val: str) -> list[str]:
    """Both curves over the epochs; empty for a single epoch."""
    if len(rows) < 2:
        return []
    curves = [map(attrgetter(column), rows) for column in (train, val)]
    lines = [f"    line [{', '.join(f'{value:.4f}' for value in curve)}]" for curve in curves]
    return [
        f"## {title}",
        "",
        "```mermaid",
        "xychart-beta",
        f'    title "{title}: training, validation"',
        f'    x-axis "epoch" {rows[0].epoch} --> {rows[-1].epoch}',
        *lines,
        "```",
        "",
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    heading, *body = ["| " + " | ".join(map(for_markdown, row)) + " |" for row in rows]
    return [heading, "|" + "---|" * len(rows[0]), *body]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


if __name__ == "__main__":
    run(summary)
