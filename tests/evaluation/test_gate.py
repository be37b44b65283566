"""Metrics against the thresholds of the gate."""

import json
from dataclasses import replace

import pytest
import torch

from alexnet.config import Gate
from alexnet.data.imbalance import class_imbalance
from alexnet.evaluation.evaluate import compute_metrics
from alexnet.evaluation.gate import Check, describe_imbalance, judge, read_verdict
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


def test_accuracy_passes_a_rare_class_that_the_recall_of_each_class_does_not(tmp_path):
    """Of 10 cats and 90 dogs 2 and 90 are recognised: 92 % of the images, 20 % of the cats."""
    labels = torch.tensor([0] * 10 + [1] * 90)
    logits = torch.nn.functional.one_hot(torch.tensor([0] * 2 + [1] * 98), 3).float()
    found, _ = compute_metrics(logits, labels, ("cat", "dog", "fox"), 10)
    assert found["balanced_accuracy"] == pytest.approx((0.2 + 1) / 2)  # fox has no test image
    digest = {"weights_sha256": "0" * 64}
    per_class = {name: ClassMetrics(**row) for name, row in found["per_class"].items()}
    metrics = replace(METRICS, accuracy=found["accuracy"], per_class=per_class, **digest)
    assert metrics.as_dict()["balanced_accuracy"] == found["balanced_accuracy"]
    imbalance = class_imbalance({"cat": 12, "dog": 3000, "fox": 20})

    def gate(recall):
        thresholds = Gate(min_accuracy=0.9, min_class_recall=recall, max_calibration_error=None)
        return judge(metrics, thresholds, imbalance)

    assert gate(None).passed
    failed = gate(0.5)
    assert not failed.passed
    assert str(failed.checks[1]) == "recall of cat 0.2000 is below the threshold of 0.5000"
    write_json(tmp_path / "gate.json", failed.as_dict())
    assert read_verdict(tmp_path / "gate.json") == failed
    assert json.loads((tmp_path / "gate.json").read_text())["class_imbalance"]["ratio"] == 250
    said = describe_imbalance(metrics, imbalance)
    assert "cat has 12 of 3,032 training images, dog 3,000 (250 times as many)" in said
    assert "Accuracy (0.9200) says little about cat: see the balanced accuracy (0.6000)" in said
    assert class_imbalance({"one": 6742, "five": 5421}) is None, "MNIST is balanced"


def test_nan_does_not_pass():
    nan = float("nan")
    assert not Check("accuracy", nan, 0.0, minimum=True).passed
    assert not Check("calibration error", nan, 1.0, minimum=False).passed
