"""The training loop: steps, epochs and the result, against independent computations."""

import ast
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms.v2.functional import normalize

from alexnet.network.model import AlexNetCifar
from alexnet.training.device import DeviceConfig
from alexnet.training.loader import epoch_order
from tests.conftest import METADATA, ROOT
from tests.runs import EVERYTHING, ignore, seeded, settings, train, trainer_of


def test_a_step_reads_as_the_five_verbs_in_order():
    """logits, loss, zero_grad, backward, step; the first two are compiled as one function."""
    tree = ast.parse((ROOT / "alexnet/training/trainer.py").read_text())
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    names = []
    for name in ("compute_loss", "train_step"):
        calls = [node.func for node in ast.walk(functions[name]) if isinstance(node, ast.Call)]
        calls.sort(key=lambda call: (call.lineno, call.end_col_offset))
        names += [call.attr for call in calls if isinstance(call, ast.Attribute)]
    verbs = ["network", "criterion", "zero_grad", "backward", "step"]
    assert [name for name in names if name in verbs] == verbs
    assert len(ast.unparse(functions["train_step"]).splitlines()) < 20


# Steps and epochs


def by_torchvision(images):
    """Images as the network takes them."""
    return normalize(images.permute(0, 3, 1, 2).float() / 255, METADATA.mean, METADATA.std)


def test_steps_follow_the_gradient_of_the_mean_loss(digits):
    """By autograd on the model itself: w - rate g, fc1 with a 36th of the rate.

    Two steps. The second is on the four images that are left, each of which counts more.
    """
    changes = {"momentum": 0.0, "nesterov": False, "label_smoothing": 0.1, "learning_rate": 0.36}
    params = settings(collapse_fc1="off", epochs=1, **changes)
    model, twin = seeded(), seeded()
    # Not by `train`, which passes a criterion.
    trainer_of(model, params, num_images=20).fit(ignore)
    for step in epoch_order(20, params.seed, 0).split(16):
        images, labels = digits[0][step], digits[1][step]
        # (1 - e) of the loss for the label, e / 10 of it for each class.
        logs = twin(by_torchvision(images)).log_softmax(dim=1)
        loss = -(0.9 * logs[range(len(step)), labels] + 0.1 * logs.mean(dim=1)).mean()
        twin.zero_grad()
        loss.backward()
        with torch.no_grad():
            for name, parameter in twin.named_parameters():
                parameter -= (0.01 if name == "fc1.weight" else 0.36) * parameter.grad
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_the_history_has_the_mean_over_the_images_and_the_rate_of_the_last_step():
    """Not the mean over the batches: the last one has 12 of 76 images."""
    run = train(
        seeded(),
        settings(label_smoothing=0.1, schedule="linear", learning_rate=0.1, warmup_fraction=0.2),
    )
    for epoch, row in enumerate(run.rows):
        losses = run.losses[epoch * 5 : epoch * 5 + 5]
        mean = np.average(losses, weights=[16, 16, 16, 16, 12])
        assert row.train_loss == pytest.approx(mean, rel=1e-6)
        assert row.epoch == epoch + 1
        assert row.train_accuracy * 76 == pytest.approx(round(row.train_accuracy * 76))
    # Two steps of warm-up, then eight that fall: the 5th has 6/8, the 10th 1/8 of the highest.
    assert [row.learning_rate for row in run.rows] == pytest.approx([0.075, 0.0125])


def test_each_epoch_is_reported_with_its_seconds_and_trains_in_train_mode():
    """Otherwise the first validation would switch dropout off."""
    found, modes = [], []
    trainer = trainer_of(
        seeded(dropout=0.5),
        settings(epochs=3, clip_norm=2.0),
        before_step=lambda trainer, batch: modes.append(trainer.network.training),
    )
    trainer.fit(lambda row, seconds: found.append((row.epoch, seconds)))
    assert [epoch for epoch, _ in found] == [1, 2, 3]
    assert all(0 < seconds < 60 for _, seconds in found)
    assert trainer.state.total_seconds == pytest.approx(sum(seconds for _, seconds in found))
    assert modes == [True] * 15


@pytest.mark.parametrize("muon", [None, 0.02])
def test_one_batch_of_real_images_is_memorised(muon):
    params = settings(epochs=40, muon_lr=muon, clip_norm=2.0, schedule="linear")
    run = train(seeded(), params, num_images=16)
    assert run.rows[0].train_loss == pytest.approx(math.log(10), abs=0.3)
    assert run.rows[-1].train_loss < 0.001
    assert run.rows[-1].train_accuracy == 1.0


# The result: collapsed or not, averaged or not


@pytest.mark.parametrize("muon", [None, 0.02])
def test_a_collapsed_network_trains_as_the_full_one(muon):
    """Up to rounding; tests/network/test_collapse.py compares them in float64."""
    plain = EVERYTHING | {"weight_decay": 0.0, "muon_lr": muon}
    collapsed = train(seeded(), settings(collapse_fc1="auto", **plain))
    full = train(seeded(), settings(collapse_fc1="off", **plain))
    assert (collapsed.trainer.networks.collapses, full.trainer.networks.collapses) == (True, False)
    before = seeded().state_dict()
    for name, value in full.model.state_dict().items():
        moved = (value - before[name]).abs().max().item()
        assert moved > 1e-4, name
        difference = (collapsed.model.state_dict()[name] - value).abs().max().item()
        assert difference < 0.01 * moved, name
    assert collapsed.losses == pytest.approx(full.losses, rel=1e-3)
    assert all(parameter.device.type == "cpu" for parameter in collapsed.model.parameters())


def test_a_network_without_copies_is_not_collapsed(digits):
    """At 48x48 pixels pool5 leaves 2x2 positions."""
    data = F.pad(digits[0], (0, 0, 8, 8, 8, 8)), digits[1]
    metadata = replace(METADATA, image_size=48)
    trainer = trainer_of(seeded(), settings(), data=data, metadata=metadata)
    assert not trainer.networks.collapses
    assert trainer.network is trainer.model


def test_the_result_is_the_weighted_mean_of_the_weights_after_each_step():
    decay, after_steps = 0.8, []

    def copy(trainer, batch):
        values = trainer.network.state_dict().items()
        after_steps.append({name: value.double().numpy() for name, value in values})

    trainer = trainer_of(seeded(), settings(collapse_fc1="off", ema_decay=decay), after_step=copy)
    trainer.fit(ignore)
    counts = np.array([decay ** (9 - step) for step in range(10)])
    for name, value in trainer.model.state_dict().items():
        stacked = np.stack([weights[name] for weights in after_steps])
        expected = np.tensordot(counts / counts.sum(), stacked, axes=1)
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-4, atol=1e-7)
        assert not np.array_equal(value.numpy(), stacked[-1])


@pytest.mark.parametrize("batch_norm", ["none", "folded"])
@pytest.mark.parametrize(
    ("ema_decay", "collapse_fc1"), [(0.0, "auto"), (0.8, "auto"), (0.0, "off"), (0.8, "off")]
)
def test_validation_measures_the_resulting_weights_without_augmentation(
    digits, monkeypatch, ema_decay, collapse_fc1, batch_norm
):
    """In batches, without dropout or label smoothing; on the centre of larger images."""
    monkeypatch.setattr("alexnet.training.trainer.VALIDATION_BATCH", 7)
    larger = F.pad(digits[0], (0, 0, 5, 3, 4, 4))  # 40x40
    changes = {"ema_decay": ema_decay, "collapse_fc1": collapse_fc1, "batch_norm": batch_norm}
    changes["crop_size"] = 32
    params = settings(**EVERYTHING | changes)
    run = train(seeded(dropout=0.5), params, data=(larger, digits[1]))
    with torch.inference_mode():
        logits = run.model.eval()(by_torchvision(larger[-30:, 4:36, 4:36]))
    expected = F.cross_entropy(logits, digits[1][-30:]).item()
    assert run.rows[-1].val_loss == pytest.approx(expected, rel=1e-4)
    accuracy = (logits.argmax(1) == digits[1][-30:]).double().mean().item()
    assert run.rows[-1].val_accuracy == pytest.approx(accuracy)


@pytest.mark.gpu
@pytest.mark.slow
def test_a_run_on_the_gpu_learns():
    run = train(
        seeded(make=AlexNetCifar),
        settings(epochs=40, clip_norm=2.0),
        num_images=64,
        device_config=DeviceConfig(torch.device("cuda:0"), torch.bfloat16),
        criterion=None,  # a graph cannot read each step's loss, as this module's does
    )
    assert run.lines[0].startswith("device cuda")
    assert run.rows[-1].train_accuracy == 1.0
    assert all(parameter.device.type == "cpu" for parameter in run.model.parameters())
