"""A small made-up run with real images: everything that the pictures are drawn from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from alexnet.describe import describe
from alexnet.figures.draw import draw_all
from alexnet.model import AlexNetCifar


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
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Scans of handwritten digits, uint8 (1797, 8, 8, 1), and what they show."""
    scans = load_digits()
    return (scans.images * 15).astype(np.uint8)[..., None], scans.target.astype(np.int64)


@pytest.fixture(scope="session")
def run(digits: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """The arguments of `draw_all` for a run in which every tenth answer is wrong."""
    images, labels = digits
    actual = labels[:200]
    predicted = actual.copy()
    predicted[::10] = (actual[::10] + 1) % 10
    model = AlexNetCifar(in_channels=1)
    return {
        "history": make_history(5),
        "classes": [f"digit {number}" for number in range(10)],
        "actual": actual,
        "predicted": predicted,
        "confidence": np.linspace(0.5, 0.99, 200),
        "test_images": images[:200],
        "conv1_weight": model.conv1.weight.detach().numpy(),
        "samples": images[:6],
        "augmented": np.stack([images[:6, :, ::-1], np.roll(images[:6], 1, axis=1)]),
        "sample_labels": labels[:6],
        "layers": describe(model),
        "variant": "cifar",
        "input_shape": (1, 32, 32),
        "num_mistakes": 7,
    }


@pytest.fixture(scope="session")
def drawn(run: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with every picture of `run`."""
    folder = tmp_path_factory.mktemp("figures")
    draw_all(folder, **run)
    return folder
