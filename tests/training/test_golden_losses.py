"""Losses of real runs, step by step, as they were when last looked at.

`python -m tests.training.test_golden_losses` writes golden_losses.json anew, which a change that is
meant to alter the steps has to do.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from alexnet.network.model import AlexNetCifar
from tests.conftest import CLASSES, real_digits
from tests.making import EVERYTHING, seeded, settings, train

GOLDEN = Path(__file__).parent / "golden_losses.json"


def golden_runs(metadata, digits):
    """{name: the losses of 50 steps}, fp32 on one thread.

    `sgd` is the network as it is under the plainest of its optimisers; `everything` a narrow
    one with Muon, dropout and each kind of augmentation. Their rates are low enough for
    rounding, which differs between processors, not to grow.
    """
    plain = settings(
        epochs=5, learning_rate=0.005, clip_norm=1.0, warmup_fraction=0.4, schedule="linear"
    )
    full = settings(epochs=5, learning_rate=0.01, muon_lr=0.002, **EVERYTHING)
    return {
        "sgd": train(seeded(make=AlexNetCifar), metadata, digits, plain, 160).losses,
        "everything": train(seeded(dropout=0.2), metadata, digits, full, 160).losses,
    }


@pytest.mark.slow
def test_the_losses_of_50_steps_are_those_of_before(metadata, digits):
    """Whatever changes a step, meant or not, shows here.

    golden_losses.json was written with PyTorch 2.14 on one thread of a processor with
    AVX-512. On the same one held to SSE 4.1 the losses differ by 2e-5 at most.
    """
    stored = json.loads(GOLDEN.read_text())
    found = golden_runs(metadata, digits)
    assert found.keys() == stored.keys()
    for name, losses in found.items():
        assert len(losses) == 50
        assert losses == pytest.approx(stored[name], rel=1e-4), name
    assert np.mean(found["sgd"][-10:]) < 0.75 * np.mean(found["sgd"][:10]), "it learns"


def write_golden():
    from alexnet.network.weights import ModelMetadata

    assert torch.get_num_threads() == 1
    metadata = ModelMetadata("cifar", CLASSES, 32, mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.3))
    runs = golden_runs(metadata, real_digits())
    GOLDEN.write_text(json.dumps(runs, indent=1) + "\n")


if __name__ == "__main__":
    write_golden()
