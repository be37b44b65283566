"""The bar."""

import pytest

from alexnet.config import Gate
from alexnet.evaluation.gate import check, report

METRICS = {
    "accuracy": 0.9,
    "calibration_error": 0.05,
    "per_class": {"cat": {"recall": 0.95}, "dog": {"recall": 0.85}},
}


def thresholds(accuracy, recall=None, calibration=None):
    return Gate(min_accuracy=accuracy, min_class_recall=recall, max_calibration_error=calibration)


@pytest.mark.parametrize(
    ("gate", "passed"),
    [
        (thresholds(0.9), True),
        (thresholds(0.9001), False),
        (thresholds(0.5, recall=0.85), True),
        (thresholds(0.5, recall=0.86), False),
        (thresholds(0.5, calibration=0.05), True),
        (thresholds(0.5, calibration=0.049), False),
    ],
)
def test_verdict(gate, passed):
    verdict = report(check(METRICS, gate), "abc")
    assert verdict["passed"] is passed
    assert verdict["weights_sha256"] == "abc"


def test_a_failure_names_the_figure_and_the_bar():
    first, second, third = check(METRICS, thresholds(0.95, recall=0.9, calibration=0.01))
    assert str(first) == "accuracy 0.9000 is below the bar of 0.9500"
    assert str(second) == "recall of dog 0.8500 is below the bar of 0.9000"
    assert str(third) == "calibration error 0.0500 is above the bar of 0.0100"


def test_a_figure_that_is_not_a_number_does_not_pass():
    nan = float("nan")
    checks = check(
        METRICS | {"accuracy": nan, "calibration_error": nan}, thresholds(0, calibration=1)
    )
    assert [result.passed for result in checks] == [False, False]
