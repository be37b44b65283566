"""Unbalanced classes: preprocess and gate name them, and the gate can bound each class's recall."""

import json

import torch

from alexnet.evaluation.evaluate import compute_metrics
from tests.conftest import write_params
from tests.data.making import make_files, write_folder
from tests.reports import write_report

IMBALANCE = "warning: class imbalance: 24 training images of dog, 2 of cat (12 : 1)"


def test_accuracy_passes_the_gate_and_the_recall_of_the_small_class_fails_it(tmp_path, run):
    """Of a network that answers dog, whatever the image."""
    small, large = (
        make_files(number, classes=(name,)) for number, name in ((4, "cat"), (36, "dog"))
    )
    write_folder(tmp_path / "images", small | large)
    changes = {"data__name": "folder", "data__source": "images", "data__val_fraction": 0.15}
    changes["train__batch_size"] = 3
    write_params(tmp_path, **changes, gate__min_accuracy=0.8)
    run("download")
    advice = "accuracy says little about cat; gate.min_class_recall bounds the recall of each class"
    assert f"{IMBALANCE}; {advice}\n" in run("preprocess").stderr

    labels = torch.tensor([0] + 7 * [1])  # the test split's
    logits = torch.tensor([[0.0, 1.0]]).expand(8, 2)
    metrics, _ = compute_metrics(logits, labels, ("cat", "dog"), 10)
    report = metrics | {"weights_sha256": "0" * 64}
    write_report(tmp_path / "reports/evaluate/metrics.json", report)
    passing = run("gate")
    assert passing.returncode == 0
    unchecked = "gate.min_class_recall is null, so that no class's recall is checked"
    assert passing.stderr == f"{IMBALANCE}; balanced accuracy 0.5000; {unchecked}\n"
    assert passing.stdout == "gate: accuracy 0.8750 meets the threshold of 0.8000\n"

    write_params(tmp_path, **changes, gate__min_accuracy=None)
    nothing = "gate: nothing is checked, no threshold is set\n"
    assert run("gate").stdout == nothing

    write_params(tmp_path, **changes, gate__min_accuracy=0.8, gate__min_class_recall=0.5)
    failing = run("gate")
    assert failing.returncode == 0, "the run is recorded"
    assert f"{IMBALANCE}; balanced accuracy 0.5000\n" in failing.stderr
    assert "gate: recall of cat 0.0000 is below the threshold of 0.5000. The" in failing.stderr
    verdict = json.loads((tmp_path / "reports/gate.json").read_text())
    figures = [verdict[key] for key in ("passed", "balanced_accuracy", "imbalance_ratio")]
    assert figures == [False, 0.5, 12.0]
    assert json.loads((tmp_path / "reports/summary.json").read_text())["gate_passed"] is False
