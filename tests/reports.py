"""Small report files as the stages write them, for tests that read or damage them."""

import json
from pathlib import Path
from typing import Any

METRICS = {
    "n": 2000,
    "accuracy": 0.75,
    "loss": 1.25,
    "calibration_error": 0.0625,
    "per_class": {
        "cat|tom": {"precision": 0.5, "recall": 0.25, "support": 1000},
        "dog": {"precision": 1.0, "recall": 1.0, "support": 1000},
    },
    "weights_sha256": "0" * 64,
}
GATE = {
    "passed": True,
    "weights_sha256": "0" * 64,
    "balanced_accuracy": 0.625,
    "imbalance_ratio": 1.5,
    "checks": [
        {"metric": "accuracy", "value": 0.75, "threshold": 0.6, "minimum": True, "passed": True}
    ],
}
REPEAT = {
    "num_runs": 2,
    "runs": [
        {"seed": seed, "train_accuracy": 0.7, "val_accuracy": 0.6, "test_accuracy": accuracy}
        | {"test_loss": 1.25}
        for seed, accuracy in ((0, 0.75), (1, 0.5))
    ],
}
COMPARISON = {
    "passed": False,
    "base": "origin/main",
    "max_drop": 0.005,
    "same_test_images": True,
    "starts_from_base": False,
    "metrics": METRICS | {"accuracy": 0.8, "loss": 1.0},
}
HISTORY = """epoch,learning_rate,train_loss,train_accuracy,val_loss,val_accuracy
1,0.1,2.0,0.25,1.5,0.5
2,0.1,1.0,0.75,1.25,0.625
"""
LAYERS = """epoch,layer,gradient_norm,weight_norm,update_ratio,dead_relus
1,conv1,0.1,12,1.5e-07,0
1,fc3,2,3,0.5,
"""
META = {
    "name": "folder",
    "classes": ["cat", "dog"],
    "image_size": 32,
    "channels": 3,
    "resize": "bicubic",
    "mean": [0.5, 0.4, 0.3],
    "std": [0.25, 0.2, 0.3],
    "counts": {split: {"cat": 3, "dog": 2} for split in ("train", "val", "test")},
    "duplicates": {"train-test": 0, "train-val": 0},
    "skipped": [{"name": "cat/7.jpg", "reason": "is empty"}],
    "source": "/images",
    "source_sha256": "0" * 64,
}
PREDICTIONS = """index,actual,predicted,confidence
0,cat,cat,0.9
1,dog,cat,0.6
"""
FILES = {
    "data/processed/meta.json": META,
    "reports/train/history.csv": HISTORY,
    "reports/train/layers.csv": LAYERS,
    "reports/train/metrics.json": {"epoch": 2, "device": "cpu"},
    "reports/profile/layers.csv": "layer,forward_seconds,backward_seconds\nconv1,1e-5,3e-5\n",
    "reports/profile/metrics.json": {"device": "cpu"},
    "reports/evaluate/metrics.json": METRICS,
    "reports/evaluate/predictions.csv": PREDICTIONS,
    "reports/gate.json": GATE,
    "reports/repeat.json": REPEAT,
    "reports/comparison.json": COMPARISON,
}


def write_report(path: Path, content: Any) -> None:
    """Write a text as it is, and anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
