"""The page of the job, from the files that the stages write."""

import pytest

from ci.summary import summary
from tests.reports import COMPARISON, GATE, HISTORY, METRICS, write_report


@pytest.fixture
def page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def page(**reports: object) -> list[str]:
        files = {"metrics": "evaluate/metrics.json", "history": "train/history.csv"}
        for name, content in reports.items():
            write_report(tmp_path / "reports" / files.get(name, f"{name}.json"), content)
        summary()
        return capsys.readouterr().out.splitlines()

    return page


def test_the_page_has_gate_comparison_metrics_and_curves(page):
    lines = page(metrics=METRICS, gate=GATE, comparison=COMPARISON, history=HISTORY)
    for line in (
        "- Gate: **passed** (accuracy 0.7500, at least 0.6000)",
        "- Comparison with origin/main: **failed** (a drop of 0.0050 is allowed)",
        "| test split | this run | origin/main |",
        "|---|---|---|",
        "| accuracy | 0.7500 | 0.8000 |",
        "| balanced accuracy | 0.6250 | 0.6250 |",
        "| calibration error | 0.0625 | 0.0625 |",
        "| test images | 2,000 | 2,000 |",
        "| cat&#124;tom | 0.5000 | 0.2500 | 1,000 |",
        '    x-axis "epoch" 1 --> 2',
        "    line [0.2500, 0.7500]",
        "    line [0.5000, 0.6250]",
    ):
        assert line in lines
    assert lines.count("```mermaid") == 2


def test_a_linear_probe_is_shown_beside_the_accuracy(page):
    probed = METRICS | {"linear_probe_accuracy": 0.5625}
    assert "| linear probe's accuracy | 0.5625 |  |" in page(metrics=probed, comparison=COMPARISON)
    assert not any("probe" in line for line in page(metrics=METRICS))


def test_without_metrics_the_page_refers_to_the_log(page):
    assert page() == ["# Retraining", "", "No model was evaluated; the log says why.", ""]


def test_a_run_that_failed_the_gate(page):
    failed = GATE | {"passed": False, "checks": [GATE["checks"][0] | {"value": 0.5}]}
    lines = page(metrics=METRICS, gate=failed)
    assert "- Gate: **failed** (accuracy 0.5000, at least 0.6000)" in lines
    assert "- Comparison: none was made" in lines
    assert "| test split | this run |" in lines


def test_a_run_without_thresholds(page):
    lines = page(metrics=METRICS, gate=GATE | {"checks": []})
    assert "- Gate: **passed** (no threshold)" in lines


def test_a_pull_request_takes_the_text_whatever_the_number_of_classes(page):
    names = [f"{number:04}-{'x' * 60}" for number in range(1000)]
    classes = dict.fromkeys(names, METRICS["per_class"]["cat|tom"])
    lines = page(metrics=METRICS | {"per_class": classes})
    assert len("\n".join(lines)) < 60_000
    assert "The 1000 classes are in reports/evaluate/metrics.json: too many for this page." in lines


def test_there_is_no_curve_of_one_point(page):
    assert "```mermaid" not in page(history="\n".join(HISTORY.splitlines()[:2]))
