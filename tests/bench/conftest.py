"""A small data set on disk, and a context in which a measurement takes two steps."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from alexnet import config
from alexnet.data.dataset import Meta, save_meta
from alexnet.network.weights import ModelMetadata
from alexnet.training.device import DeviceConfig
from bench import tutorial
from bench.loops import Context
from bench.measure import Budget
from tests.conftest import CLASSES, ROOT

CPU = torch.device("cpu")
NUM_IMAGES = 40


@pytest.fixture(scope="package")
def folder(digits, tmp_path_factory) -> Path:
    """data/processed of 40 training and 20 validation images."""
    folder = tmp_path_factory.mktemp("processed")
    counts = {}
    for split, rows in {"train": slice(0, NUM_IMAGES), "val": slice(-20, None)}.items():
        images, labels = (part[rows].contiguous() for part in digits)
        save_file({"images": images, "labels": labels}, folder / f"{split}.safetensors")
        numbers = torch.bincount(labels, minlength=10).tolist()
        counts[split] = dict(zip(CLASSES, numbers, strict=True))
    mean_and_std = ((0.5, 0.5, 0.5), (0.4, 0.4, 0.4))
    meta = Meta(
        *("digits", CLASSES, 32, 3, "bicubic", *mean_and_std, counts, {}, (), "here", "0" * 64)
    )
    save_meta(folder, meta)
    return folder


@pytest.fixture(scope="package")
def context(folder) -> Context:
    """params.yaml's own, with steps of 8 images, of which two are measured."""
    values = config.load(ROOT / "params.yaml")
    train = values.train.model_copy(update={"batch_size": 8, "deterministic": False})
    metadata = ModelMetadata("cifar", CLASSES, 32, (0.5, 0.5, 0.5), (0.4, 0.4, 0.4))
    device_config = DeviceConfig(CPU, torch.float32)
    values = values.model_copy(update={"train": train})
    return Context(folder, metadata, values, device_config, Budget(math.inf, steps=2))


@pytest.fixture(scope="package")
def here():
    """Measure in this process, without the loader's workers: quicker to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tutorial, "NUM_WORKERS", 0)
        for module in ("training", "costs"):
            patch.setattr(f"bench.{module}.run_in_subprocess", call)
        patch.setattr("bench.costs.MATRIX_SIDE", {"cpu": 64})
        yield


def call(function, *arguments):
    """In place of run_in_subprocess."""
    return function(*arguments)


def run_bench(name: str, folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`python -m bench.NAME` in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", f"bench.{name}", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
