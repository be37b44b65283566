"""Metrics against the thresholds of the gate."""

import pytest

from alexnet.config import Gate
from alexnet.evaluation.gate import Check, judge
from alexnet.evaluation.results import ClassMetrics, Metrics

METRICS = Metrics(
    n=2,
    accuracy=0.9,
    loss=1.0,
    calibration_error=0.05,
    per_class={"cat": ClassMetrics(1.0, 0.95, 1), "dog": ClassMetrics(1.0, 0.85, 1)},
    weights_sha256="abc",
)


def judged(minimum, recall=None, calibration=None):
    gate = Gate(min_accuracy=minimum, min_class_recall=recall, max_calibration_error=calibration)
    return judge(METRICS, gate)


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
    verdict = judged(*thresholds)
    assert (verdict.passed, verdict.weights_sha256) == (passed, "abc")


def test_a_check_prints_its_metric_and_threshold():
    assert [str(check) for check in judged(0.95, recall=0.8, calibration=0.01).checks] == [
        "accuracy 0.9000 is below the threshold of 0.9500",
        "recall of dog 0.8500 meets the threshold of 0.8000",
        "calibration error 0.0500 is above the threshold of 0.0100",
    ]


def test_nan_does_not_pass():
    nan = float("nan")
    assert not Check("accuracy", nan, 0.0, minimum=True).passed
    assert not Check("calibration error", nan, 1.0, minimum=False).passed
