"""A run of a narrow network on the digits, and a page of small files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.data.dataset import Meta
from alexnet.evaluation.results import Metrics
from alexnet.files import parse_record
from alexnet.live.page import BINARIES, LOADERS, SHARED, PageSource
from alexnet.live.run import LiveRun
from alexnet.training.history import Epoch
from tests.artifacts import METADATA
from tests.conftest import CLASSES, real_digits
from tests.reports import METRICS
from tests.runs import narrow

TRAIN, TEST = slice(120), slice(120, 180)  # of the digits


def digits_meta() -> Meta:
    labels = real_digits()[1]
    splits = {"train": labels[TRAIN], "test": labels[TEST]}
    counts = {
        split: dict(zip(CLASSES, np.bincount(part, minlength=10).tolist(), strict=True))
        for split, part in splits.items()
    }
    return Meta(
        *("digits", CLASSES, 32, 3, "bicubic", METADATA.mean, METADATA.std, counts, {}, ()),
        source="scikit-learn",
        source_sha256="0" * 64,
    )


@pytest.fixture(scope="session")
def live_run() -> LiveRun:
    """Its logits are far apart, and channel 2 of conv2 is never active."""
    torch.manual_seed(0)
    model = narrow().eval()
    with torch.no_grad():
        for name, values in model.named_parameters():
            if name.endswith("bias"):
                values.uniform_(-0.1, 0.1)
        model.fc3.weight.normal_(std=0.2)
        model.conv2.bias[2] = -1000
    images, labels = real_digits()
    return LiveRun(
        meta=digits_meta(),
        model=model,
        metadata=METADATA,
        weights_sha256="0" * 64,
        metrics=parse_record(json.dumps(METRICS).encode(), Metrics, "metrics", ""),
        history=[Epoch(1, 0.1, 2.0, 0.25, 1.5, 0.5)],
        filter_epochs=[0, 1],
        filters=torch.randn(2, *model.conv1.weight.shape),
        train=(images[TRAIN], labels[TRAIN]),
        test=(images[TEST], labels[TEST]),
    )


@pytest.fixture
def source(tmp_path) -> PageSource:
    source = PageSource(*(tmp_path / name for name in ("page", "shared", "runtime")))
    files = {source.page: ("index.html", "live.js", "style.css", "README.md", "types.d.ts")}
    files |= {source.shared: SHARED, source.runtime: (*LOADERS, *BINARIES)}
    for folder, names in files.items():
        folder.mkdir()
        for name in names:
            Path(folder, name).write_text(f"this is {name}")
    return source
