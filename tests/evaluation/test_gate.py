"""Metrics against the thresholds of the gate."""

import pytest

from alexnet.config import Gate
from alexnet.evaluation.gate import check, report

METRICS = {
    "accuracy": 0.9,
    "calibration_error": 0.05,
    "per_class": {"cat": {"recall": 0.95}, "dog": {"recall": 0.85}},
}


def checks(minimum, recall=None, calibration=None, **metrics):
    gate = Gate(min_accuracy=minimum, min_class_recall=recall, max_calibration_error=calibration)
    return check(METRICS | metrics, gate)


@pytest.mark.parametrize(
    ("thresholds", "passed"),
    [
        ((0.9,), True),
        ((0.9001,), False),
        ((0.5, 0.85), True),
        ((0.5, 0.86), False),
        ((0.5, None, 0.05), True),
        ((0.5, None, 0.049), False),
    ],
)
def test_verdict(thresholds, passed):
    verdict = report(checks(*thresholds), "abc")
    assert (verdict["passed"], verdict["weights_sha256"]) == (passed, "abc")


def test_a_check_prints_its_metric_and_threshold():
    assert [str(result) for result in checks(0.95, recall=0.8, calibration=0.01)] == [
        "accuracy 0.9000 is below the threshold of 0.9500",
        "recall of dog 0.8500 meets the threshold of 0.8000",
        "calibration error 0.0500 is above the threshold of 0.0100",
    ]


def test_nan_does_not_pass():
    nan = float("nan")
    results = checks(0, calibration=1, accuracy=nan, calibration_error=nan)
    assert [result.passed for result in results] == [False, False]
