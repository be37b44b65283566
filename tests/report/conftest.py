"""A small made-up run with real images: everything that the pictures are drawn from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from alexnet.network.model import AlexNetCifar
from alexnet.network.summary import Layer, summarize
from alexnet.report.draw import draw_all
from alexnet.report.patches import Channel, Row
from alexnet.report.probe import Inside
from alexnet.report.run import Run

WEIGHTED = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2", "fc3"]
LOOKED_INTO = ["conv1", "relu1", "relu2", "relu3", "relu4", "relu5", "fc3"]


def make_history(num_epochs: int) -> list[dict[str, float]]:
    """Curves that rise and fall as they do in training; the best epoch is the last but one."""
    rows = []
    for epoch in range(1, num_epochs + 1):
        done = epoch / num_epochs
        slip = 0.01 if epoch == num_epochs else 0.0
        rows.append(
            {
                "epoch": epoch,
                "learning_rate": 0.05 * (1 - 0.9 * done),
                "train_loss": 2.3 - 1.9 * done,
                "train_accuracy": 0.1 + 0.85 * done,
                "val_loss": 2.2 - 1.6 * done + 3 * slip * num_epochs,
                "val_accuracy": 0.15 + 0.7 * done - slip * num_epochs,
            }
        )
    return rows


@pytest.fixture(scope="session")
def scans() -> tuple[np.ndarray, np.ndarray]:
    """Scans of handwritten digits, uint8 (1797, 8, 8, 1), and what they show."""
    loaded = load_digits()
    return (loaded.images * 15).astype(np.uint8)[..., None], loaded.target.astype(np.int64)


def make_rows(num_epochs: int) -> list[dict[str, Any]]:
    """The layers' vitals, an order of magnitude apart, fc2 with a quarter of its ReLUs dead."""
    return [
        {
            "epoch": epoch,
            "layer": name,
            "gradient_norm": 10.0**-depth / epoch,
            "weight_norm": 5.0 + depth,
            "update_ratio": 1e-3 / epoch / (1 + depth),
            "dead_relus": None if name == "fc3" else 0.25 if name == "fc2" else 0.0,
        }
        for epoch in range(1, num_epochs + 1)
        for depth, name in enumerate(WEIGHTED)
    ]


def make_inside(images: np.ndarray, labels: np.ndarray, layers: list[Layer]) -> Inside:
    """Maps of random numbers in each layer's shape, and real images for patches and neighbours."""
    rng = np.random.default_rng(0)
    shown = [0, 1, 2]
    channels = [
        Channel(k, [images[9 * k + i] for i in range(9)], ["digit 3"] * 9) for k in range(2)
    ]
    return Inside(
        shown=shown,
        maps={
            layer.name: rng.normal(size=(len(shown), *layer.output_shape)).astype(np.float32)
            for layer in layers
            if layer.name in LOOKED_INTO
        },
        probabilities=np.eye(10, dtype=np.float32)[labels[shown]] * 0.8 + 0.02,
        gradients=rng.random((len(shown), 8, 8)).astype(np.float32),
        hidden=rng.random((len(shown), 5, 5)).astype(np.float32) * 0.8,
        hidden_side=2,
        patches=[Row("conv1", 11, channels)],
        num_searched=200,
        queries=[3, 4],
        nearest=images[10:18].reshape(2, 4, 8, 8, 1),
        nearest_labels=labels[10:18].reshape(2, 4),
        num_compared=1_000,
    )


@pytest.fixture(scope="session")
def run(scans: tuple[np.ndarray, np.ndarray]) -> Run:
    """A run in which every tenth answer is wrong."""
    images, labels = scans
    actual = labels[:200]
    predicted = actual.copy()
    predicted[::10] = (actual[::10] + 1) % 10
    model = AlexNetCifar(in_channels=1)
    layers = summarize(model)
    return Run(
        title="AlexNet on digits",
        conditions={"data set": "digits"},
        classes=[f"digit {number}" for number in range(10)],
        variant="cifar",
        input_shape=(1, 32, 32),
        layers=layers,
        trained_layers=layers,
        history=make_history(5),
        layer_rows=make_rows(5),
        times=[
            {"layer": layer.name, "forward_seconds": 1e-5, "backward_seconds": 3e-5}
            for layer in layers
        ],
        timed_on="cpu (2 threads), float32",
        weights={
            name: layer.weight.detach().numpy()
            for name, layer in model.named_children()
            if name in ("conv1", "conv2", "fc3")
        },
        conv1_before=AlexNetCifar(in_channels=1).conv1.weight.detach().numpy(),
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
        inside=make_inside(images, labels, layers),
    )


@pytest.fixture(scope="session")
def drawn(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every picture of `run`."""
    folder = tmp_path_factory.mktemp("figures")
    draw_all(folder, run)
    return folder
