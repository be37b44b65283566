"""Metrics against the thresholds of the gate."""

from dataclasses import replace

import pytest

from alexnet.config import Gate
from alexnet.data.imbalance import imbalance_of
from alexnet.errors import UserError
from alexnet.evaluation.gate import Check, judge, read_verdict
from alexnet.evaluation.results import ClassMetrics, Metrics
from alexnet.files import write_json

METRICS = Metrics(
    n=2,
    accuracy=0.9,
    loss=1.0,
    calibration_error=0.05,
    per_class={"cat": ClassMetrics(1.0, 0.95, 1), "dog": ClassMetrics(1.0, 0.85, 1)},
    weights_sha256="abc",
)


# The training images are balanced enough.
IMBALANCE = imbalance_of({"train": {"cat": 3, "dog": 1}, "test": {"cat": 1, "dog": 8, "ox": 0}})


def judged(minimum, recall=None, calibration=None, metrics=METRICS):
    gate = Gate(min_accuracy=minimum, min_class_recall=recall, max_calibration_error=calibration)
    return judge(metrics, gate, IMBALANCE)


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


def test_without_thresholds_nothing_is_checked_and_the_model_passes(tmp_path):
    verdict = judged(None, metrics=replace(METRICS, weights_sha256="0" * 64))
    assert (verdict.passed, verdict.checks) == (True, ())
    write_json(tmp_path / "gate.json", verdict.as_dict())
    assert read_verdict(tmp_path / "gate.json") == verdict
    (recall,) = judged(None, recall=0.9).checks
    assert not recall.passed, "one threshold does not need another"


def test_an_undefined_recall_cannot_be_checked():
    undefined = {"ox": ClassMetrics(0.0, None, 0)}
    metrics = replace(METRICS, per_class=METRICS.per_class | undefined)
    assert judged(0.5, metrics=metrics).balanced_accuracy == pytest.approx(0.9)
    with pytest.raises(UserError, match=r"min_class_recall: no test image of ox, so that recall"):
        judged(0.5, recall=0.5, metrics=metrics)


def test_the_test_images_imbalance_counts_if_it_alone_is_high():
    assert str(IMBALANCE) == "8 test images of dog, 1 of cat (8 : 1)"
    assert judged(0.5).imbalance_ratio == 8


def test_nan_does_not_pass():
    nan = float("nan")
    assert not Check("accuracy", nan, 0.0, minimum=True).passed
    assert not Check("calibration error", nan, 1.0, minimum=False).passed
