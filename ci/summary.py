"""summary: the results of a run in Markdown, for the page of the job.

Such a page cannot show local pictures: it draws the curves from their numbers (Mermaid), and
the report's figures are kept with the artifact.
"""

import csv
import math
from collections.abc import Sequence
from typing import Any

from alexnet.cli.app import run
from alexnet.files import read_json
from ci.compare import COMPARISON
from stages import paths

TITLES = {  # of evaluate's metrics
    "accuracy": "accuracy",
    "top5_accuracy": "top-5 accuracy",
    "loss": "loss",
    "calibration_error": "calibration error",
    "n": "test images",
}


def summary() -> None:
    """Print metrics, gate, comparison and curves, as far as they exist."""
    lines = ["# Retraining", ""]
    if not paths.METRICS.exists():
        lines += ["No model was evaluated; the log says why.", ""]
    else:
        metrics = read_json(paths.METRICS)
        comparison = read_json(COMPARISON) if COMPARISON.exists() else None
        lines += [*_verdicts(comparison), "", *_figures(metrics, comparison), ""]
        lines += _classes(metrics["per_class"])
    if paths.HISTORY.exists():
        with paths.HISTORY.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        lines += _curves("Accuracy", rows, "train_accuracy", "val_accuracy")
        lines += _curves("Loss", rows, "train_loss", "val_loss")
    print("\n".join(lines))


def _verdicts(comparison: dict[str, Any] | None) -> list[str]:
    lines = []
    if paths.GATE.exists():
        gate = read_json(paths.GATE)
        checks = [
            f"{check['metric']} {check['value']:.4f}, "
            f"{'at least' if check['minimum'] else 'at most'} {check['threshold']:.4f}"
            for check in gate["checks"]
        ]
        lines.append(f"- Gate: **{_word(gate['passed'])}** ({'; '.join(checks)})")
    if comparison is None:
        return [*lines, "- Comparison: none was made"]
    images = "" if comparison["same_test_images"] else ", on other test images"
    return [
        *lines,
        f"- Comparison with `{comparison['base']}`{images}: **{_word(comparison['passed'])}** "
        f"(a drop of {comparison['max_drop']:.4f} is allowed)",
    ]


def _word(passed: bool) -> str:
    return "passed" if passed else "failed"


def _figures(metrics: dict[str, Any], comparison: dict[str, Any] | None) -> list[str]:
    before = comparison["metrics"] if comparison else {}
    base = [f"`{comparison['base']}`"] if comparison else []
    rows = [["test split", "this run", *base]]
    rows += [
        [name, *(_number(figures.get(key)) for figures in (metrics, before)[: 1 + len(base)])]
        for key, name in TITLES.items()
        if key in metrics
    ]
    return _table(rows)


def _classes(per_class: dict[str, dict[str, Any]]) -> list[str]:
    rows = [["class", "precision", "recall", "images"]]
    rows += [
        [name, *(_number(figures[key]) for key in ("precision", "recall", "support"))]
        for name, figures in per_class.items()
    ]
    title = f"<summary>Each of the {len(per_class)} classes</summary>"
    return ["<details>", title, "", *_table(rows), "", "</details>", ""]


def _curves(title: str, rows: list[dict[str, str]], train: str, val: str) -> list[str]:
    """Both curves over the epochs; empty for a single epoch, or if a value is not finite."""
    curves = [[float(row[column]) for row in rows] for column in (train, val)]
    if len(rows) < 2 or not all(map(math.isfinite, [*curves[0], *curves[1]])):
        return []
    lines = [f"    line [{', '.join(f'{value:.4f}' for value in curve)}]" for curve in curves]
    return [
        f"## {title}",
        "",
        "```mermaid",
        "xychart-beta",
        f'    title "{title}: training, validation"',
        f'    x-axis "epoch" {rows[0]["epoch"]} --> {rows[-1]["epoch"]}',
        *lines,
        "```",
        "",
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    heading, *body = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return [heading, "|" + "---|" * len(rows[0]), *body]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")  # a class may have any name


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


if __name__ == "__main__":
    run(summary)
