"""A small made-up run with real images: all that the pictures are drawn from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from alexnet.network.model import AlexNet, AlexNetCifar
from alexnet.network.summary import summarize
from alexnet.report.draw import draw_all
from alexnet.report.html_report import write_report
from alexnet.report.probe import ChannelPatches, LayerPatches, ProbeResults
from alexnet.report.run import Run

WEIGHTED = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2", "fc3"]
LONG = "a wholly unreasonable class name that no picture has room for"


def make_history(num_epochs: int) -> list[dict[str, float]]:
    """Curves of a usual training; the best epoch is the last but one."""
    done = np.arange(1, num_epochs + 1) / num_epochs
    slip = 0.01 * (done == 1)
    columns = {
        "epoch": done * num_epochs,
        "learning_rate": 0.05 * (1 - 0.9 * done),
        "train_loss": 2.3 - 1.9 * done,
        "train_accuracy": 0.1 + 0.85 * done,
        "val_loss": 2.2 - 1.6 * done + 3 * slip * num_epochs,
        "val_accuracy": 0.15 + 0.7 * done - slip * num_epochs,
    }
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def make_layer_rows(num_epochs: int) -> list[dict[str, Any]]:
    """Gradients an order of magnitude apart, fc2 with a quarter of its ReLUs dead."""
    keys = ("epoch", "layer", "gradient_norm", "weight_norm", "update_ratio", "dead_relus")
    dead = dict.fromkeys(WEIGHTED, 0.0) | {"fc2": 0.25, "fc3": None}
    rows = [
        (epoch, name, 10.0**-depth / epoch, 5.0 + depth, 1e-3 / epoch / (1 + depth), dead[name])
        for epoch in range(1, num_epochs + 1)
        for depth, name in enumerate(WEIGHTED)
    ]
    return [dict(zip(keys, row, strict=True)) for row in rows]


@pytest.fixture(scope="session")
def scans() -> tuple[np.ndarray, np.ndarray]:
    """Scans of handwritten digits, uint8 (1797, 8, 8, 1), and their labels."""
    loaded = load_digits()
    return (loaded.images * 15).astype(np.uint8)[..., None], loaded.target.astype(np.int64)


def run_of(model: AlexNet, images: np.ndarray, labels: np.ndarray) -> Run:
    """A run in which every tenth prediction is wrong; outputs of layers are random numbers."""
    rng = np.random.default_rng(0)
    layers = summarize(model)
    kept = {"conv1", "relu1", "relu2", "relu3", "relu4", "relu5", "fc3"}
    probed = [0, 1, 2]
    actual = labels[:200]
    predicted = actual.copy()
    predicted[::10] = (actual[::10] + 1) % 10
    patches = [
        ChannelPatches(k, [images[9 * k + i] for i in range(9)], ["digit 3"] * 9) for k in range(2)
    ]
    return Run(
        title="AlexNet on digits",
        conditions={"data set": "digits"},
        classes=[f"digit {number}" for number in range(10)],
        variant=model.variant,
        input_shape=(1, 32, 32),
        layers=layers,
        trained_layers=layers,
        history=make_history(5),
        layer_rows=make_layer_rows(5),
        times=[
            {"layer": layer.name, "forward_seconds": 1e-5, "backward_seconds": 3e-5}
            for layer in layers
        ],
        profiled_on="cpu (2 threads), float32",
        weights={
            name: layer.weight.detach().numpy()
            for name, layer in model.named_children()
            if name in ("conv1", "conv2", "fc3")
        },
        initial_conv1=rng.normal(size=model.conv1.weight.shape),
        samples=images[:6],
        augmented=np.stack([images[:6, :, ::-1], np.roll(images[:6], 1, axis=1)]),
        sample_labels=labels[:6],
        augmentation="mirrored at random",
        test_images=images[:200],
        actual=actual,
        predicted=predicted,
        confidence=np.linspace(0.5, 0.99, 200),
        calibration_bins=10,
        num_mistakes=7,
        probes=ProbeResults(
            probed=probed,
            outputs={
                layer.name: rng.normal(size=(len(probed), *layer.output_shape)).astype(np.float32)
                for layer in layers
                if layer.name in kept or layer.kind == "batch norm"
            },
            probabilities=np.eye(10, dtype=np.float32)[labels[probed]] * 0.8 + 0.02,
            gradients=rng.random((len(probed), 8, 8)).astype(np.float32),
            occlusions=rng.random((len(probed), 5, 5)).astype(np.float32) * 0.8,
            occlusion_side=2,
            patches=[LayerPatches("conv1", 11, patches)],
            num_searched=200,
            hidden_layer="fc2",
            queries=[3, 4],
            neighbours=images[10:18].reshape(2, 4, 8, 8, 1),
            neighbour_labels=labels[10:18].reshape(2, 4),
            num_compared=1_000,
        ),
    )


@pytest.fixture(scope="session")
def run(scans: tuple[np.ndarray, np.ndarray]) -> Run:
    torch.manual_seed(0)
    return run_of(AlexNetCifar(in_channels=1), *scans)


@pytest.fixture(scope="session")
def drawn(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every picture of `run`."""
    folder = tmp_path_factory.mktemp("figures")
    draw_all(folder, run)
    return folder


def of_unknown_kind(layers: list) -> list:
    """The same layers, the last one of a kind that the report does not know."""
    return [*layers[:-1], replace(layers[-1], name="head", kind="attention")]


METRICS = {
    "accuracy": 0.8793,
    "loss": 0.4123,
    "calibration_error": 0.0213,
    "n": 10000,
    "per_class": {
        "<b>&": {"precision": 0.75, "recall": 0.5, "support": 1000},
        "never predicted": {"precision": None, "recall": 0.0, "support": 12},
    },
}


def write_page(path: Path, run: Run, figures: Path, **changes: Any) -> str:
    """Write the page of `run`, and return it."""
    arguments = {
        "title": "AlexNet on <digits>",
        "conditions": {"device": "CPU"},
        "settings": {"train": {"nesterov": True, "schedule": {"name": "linear"}}, "seed": None},
        "metrics": METRICS,
        "layers": run.layers,
        "input_shape": run.input_shape,
        "history": run.history,
        "figures": figures,
    }
    write_report(path, **(arguments | changes))
    return path.read_text(encoding="utf-8")
