"""The page of the job, from the files that the stages write."""

import json

import pytest

from ci.summary import summary

METRICS = {
    "n": 2000,
    "accuracy": 0.75,
    "loss": 1.25,
    "calibration_error": 0.0625,
    "per_class": {
        "cat|tom": {"precision": 0.5, "recall": 0.25, "support": 1000},
        "dog": {"precision": 1.0, "recall": 1.0, "support": 1000},
    },
}
GATE = {
    "passed": True,
    "checks": [{"metric": "accuracy", "value": 0.75, "threshold": 0.6, "minimum": True}],
}
COMPARISON = {
    "passed": False,
    "base": "origin/main",
    "max_drop": 0.005,
    "same_test_images": True,
    "metrics": {"accuracy": 0.8, "loss": 1.0, "n": 2000},
}
HISTORY = """epoch,train_loss,train_accuracy,val_loss,val_accuracy
1,2.0,0.25,1.5,0.5
2,1.0,0.75,1.25,0.625
"""


@pytest.fixture
def page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def page(**reports: object) -> list[str]:
        files = {"metrics": "evaluate/metrics.json", "history": "train/history.csv"}
        for name, content in reports.items():
            path = tmp_path / "reports" / files.get(name, f"{name}.json")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        summary()
        return capsys.readouterr().out.splitlines()

    return page


def test_the_page_has_gate_comparison_metrics_and_curves(page):
    lines = page(metrics=METRICS, gate=GATE, comparison=COMPARISON, history=HISTORY)
    for line in (
        "- Gate: **passed** (accuracy 0.7500, at least 0.6000)",
        "- Comparison with `origin/main`: **failed** (a drop of 0.0050 is allowed)",
        "| test split | this run | `origin/main` |",
        "|---|---|---|",
        "| accuracy | 0.7500 | 0.8000 |",
        "| calibration error | 0.0625 |  |",
        "| test images | 2,000 | 2,000 |",
        "| cat\\|tom | 0.5000 | 0.2500 | 1,000 |",
        '    x-axis "epoch" 1 --> 2',
        "    line [0.2500, 0.7500]",
        "    line [0.5000, 0.6250]",
    ):
        assert line in lines
    assert lines.count("```mermaid") == 2


def test_without_metrics_the_page_refers_to_the_log(page):
    assert page() == ["# Retraining", "", "No model was evaluated; the log says why.", ""]


def test_a_run_that_failed_the_gate(page):
    failed = GATE | {"passed": False}
    lines = page(metrics=METRICS, gate=failed)
    assert "- Gate: **failed** (accuracy 0.7500, at least 0.6000)" in lines
    assert "- Comparison: none was made" in lines
    assert "| test split | this run |" in lines


@pytest.mark.parametrize("end", [1, 2])
def test_there_is_no_curve_of_one_point_or_of_nan(page, end):
    rows = HISTORY.replace("1.5,0.5", "nan,nan").splitlines()[: end + 1]
    assert "```mermaid" not in page(metrics=METRICS, history="\n".join(rows))
