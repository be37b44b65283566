"""The training loop: what a step and an epoch do, against figures by another hand."""

import ast
import math

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import normalize

from alexnet.network.model import AlexNetCifar
from alexnet.training.loader import epoch_order
from tests.conftest import CLASSES, ROOT
from tests.making import (
    EVERYTHING,
    ignore,
    seeded,
    settings,
    train,
    trainer_of,
)

# As a newcomer reads it


def test_a_step_reads_as_the_five_verbs_in_order():
    """The loop stands in plain sight: forward, loss, zero_grad, backward, step."""
    tree = ast.parse((ROOT / "alexnet/training/trainer.py").read_text())
    (step,) = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "train_step"
    ]
    calls = [node.func for node in ast.walk(step) if isinstance(node, ast.Call)]
    calls.sort(key=lambda call: (call.lineno, call.end_col_offset))
    names = [call.attr for call in calls if isinstance(call, ast.Attribute)]
    verbs = ["forward", "criterion", "zero_grad", "backward", "step"]
    assert [name for name in names if name in verbs] == verbs
    assert len(ast.unparse(step).splitlines()) < 20


# What a step and an epoch do


def test_steps_go_down_the_gradient_of_the_mean_loss(metadata, digits):
    """By autograd on the model itself: w - rate g, fc1 with a 36th of the rate.

    Two steps, the second on the four images that are left, which count as much.
    """
    params = settings(
        collapse_fc1="off",
        epochs=1,
        momentum=0.0,
        nesterov=False,
        label_smoothing=0.1,
        learning_rate=0.36,
    )
    model, twin = seeded(), seeded()
    # Not by `train`, whose criterion is its own.
    trainer_of(model, metadata, digits, params, num_images=20).fit(ignore)
    for step in epoch_order(20, params.seed, 0).split(16):
        images, labels = digits[0][step], digits[1][step]
        # (1 - e) of the loss for the label, e / 10 of it for each class.
        logs = twin(by_torchvision(images, metadata)).log_softmax(dim=1)
        loss = -(0.9 * logs[range(len(step)), labels] + 0.1 * logs.mean(dim=1)).mean()
        twin.zero_grad()
        loss.backward()
        with torch.no_grad():
            for name, parameter in twin.named_parameters():
                parameter -= (0.01 if name == "fc1.weight" else 0.36) * parameter.grad
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def by_torchvision(images, metadata):
    """Images as the network takes them, by another hand."""
    return normalize(images.permute(0, 3, 1, 2).float() / 255, metadata.mean, metadata.std)


def test_an_epochs_figures_are_those_of_its_images(metadata, digits):
    """The mean over the images, not over the batches: the last batch has 12 of 76."""
    run = train(seeded(), metadata, digits, settings(label_smoothing=0.1))
    for epoch, row in enumerate(run.rows):
        losses = run.losses[epoch * 5 : epoch * 5 + 5]
        mean = np.average(losses, weights=[16, 16, 16, 16, 12])
        assert row.train_loss == pytest.approx(mean, rel=1e-6)
        assert row.epoch == epoch + 1
        assert row.train_accuracy * 76 == pytest.approx(round(row.train_accuracy * 76))


def test_the_rate_of_a_row_is_that_of_its_last_step(metadata, digits):
    params = settings(schedule="linear", learning_rate=0.1, warmup_fraction=0.2)
    run = train(seeded(), metadata, digits, params)
    # Two steps of warm-up, then eight that fall: the 5th has 6/8, the 10th 1/8 of the peak.
    assert [row.learning_rate for row in run.rows] == pytest.approx([0.075, 0.0125])


def test_each_epoch_is_told_with_its_seconds(metadata, digits):
    told = []
    trainer = trainer_of(seeded(), metadata, digits, settings(epochs=3))
    trainer.fit(lambda row, seconds: told.append((row.epoch, seconds)))
    assert [epoch for epoch, _ in told] == [1, 2, 3]
    assert all(0 < seconds < 60 for _, seconds in told)
    assert trainer.state.total_seconds == pytest.approx(sum(seconds for _, seconds in told))


@pytest.mark.parametrize("muon", [None, 0.02])
def test_one_batch_of_real_images_is_learned_by_heart(metadata, digits, muon):
    params = settings(epochs=40, muon_lr=muon, learning_rate=0.05, clip_norm=2.0, schedule="linear")
    run = train(seeded(), metadata, digits, params, num_images=16)
    assert run.rows[0].train_loss == pytest.approx(math.log(10), abs=0.3)
    assert run.rows[-1].train_loss < 0.001
    assert run.rows[-1].train_accuracy == 1.0


# Folded or not, averaged or not


@pytest.mark.parametrize("muon", [None, 0.02])
def test_folded_or_as_it_is_written_the_run_is_the_same(metadata, digits, muon):
    """Up to rounding; test_fold.py holds it in float64."""
    plain = EVERYTHING | {"weight_decay": 0.0, "muon_lr": muon}
    collapsed = train(seeded(), metadata, digits, settings(collapse_fc1="auto", **plain))
    full = train(seeded(), metadata, digits, settings(collapse_fc1="off", **plain))
    assert (collapsed.trainer.collapses, full.trainer.collapses) == (True, False)
    before = seeded().state_dict()
    for name, value in full.model.state_dict().items():
        moved = (value - before[name]).abs().max().item()
        assert moved > 1e-4, name
        difference = (collapsed.model.state_dict()[name] - value).abs().max().item()
        assert difference < 0.01 * moved, name
    assert collapsed.losses == pytest.approx(full.losses, rel=1e-3)
    assert all(parameter.device.type == "cpu" for parameter in collapsed.model.parameters())


def test_without_copies_nothing_is_folded(digits):
    """At 48x48 pixels pool5 leaves 2x2 positions."""
    from alexnet.network.weights import ModelMetadata

    metadata = ModelMetadata("cifar", CLASSES, 48, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    images = torch.nn.functional.pad(digits[0], (0, 0, 8, 8, 8, 8))
    trainer = trainer_of(seeded(), metadata, (images, digits[1]), settings())
    assert not trainer.collapses
    assert trainer.network is trainer.model


def weights_of(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def test_the_result_is_the_average_of_the_weights_written_out(metadata, digits):
    decay = 0.8
    after_steps = []
    trainer = trainer_of(
        seeded(),
        metadata,
        digits,
        settings(collapse_fc1="off", ema_decay=decay),
        after_step=lambda trainer, batch: after_steps.append(weights_of(trainer.network)),
    )
    trainer.fit(ignore)
    counts = np.array([decay ** (9 - step) for step in range(10)])
    for name, value in trainer.model.state_dict().items():
        stacked = np.stack([weights[name].double().numpy() for weights in after_steps])
        expected = np.tensordot(counts / counts.sum(), stacked, axes=1)
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-4, atol=1e-7)
        assert not torch.equal(value, after_steps[-1][name])


@pytest.mark.parametrize("ema_decay", [0.0, 0.8])
@pytest.mark.parametrize("collapse_fc1", ["auto", "off"])
def test_validation_is_of_images_as_they_are_and_of_the_weights_that_result(
    metadata, digits, monkeypatch, ema_decay, collapse_fc1
):
    """In batches, without augmentation, dropout or smoothing; the middle of larger images."""
    monkeypatch.setattr("alexnet.training.trainer.VALIDATION_BATCH", 7)
    larger = torch.nn.functional.pad(digits[0], (0, 0, 5, 3, 4, 4))  # 40x40
    params = settings(
        **(EVERYTHING | {"ema_decay": ema_decay, "collapse_fc1": collapse_fc1, "crop_size": 32})
    )
    run = train(seeded(dropout=0.5), metadata, (larger, digits[1]), params)
    x = by_torchvision(larger[-30:, 4:36, 4:36], metadata)
    with torch.inference_mode():
        logits = run.model.eval()(x)
    expected = torch.nn.functional.cross_entropy(logits, digits[1][-30:]).item()
    assert run.rows[-1].val_loss == pytest.approx(expected, rel=1e-4)
    accuracy = (logits.argmax(1) == digits[1][-30:]).double().mean().item()
    assert run.rows[-1].val_accuracy == pytest.approx(accuracy)


def test_training_goes_on_as_training_after_a_validation(metadata, digits):
    """Else dropout would end with the first epoch."""
    modes = []
    trainer = trainer_of(
        seeded(dropout=0.5),
        metadata,
        digits,
        settings(clip_norm=2.0),
        before_step=lambda trainer, batch: modes.append(trainer.network.training),
    )
    trainer.fit(ignore)
    assert modes == [True] * 10


@pytest.mark.gpu
@pytest.mark.slow
def test_a_run_on_the_gpu_learns(metadata, digits):
    from alexnet.training.device import DeviceConfig

    device_config = DeviceConfig(torch.device("cuda:0"), torch.bfloat16)
    params = settings(epochs=40, clip_norm=2.0)
    run = train(
        seeded(make=AlexNetCifar),
        metadata,
        digits,
        params,
        num_images=64,
        device_config=device_config,
    )
    assert run.lines[0].startswith("device cuda")
    assert run.rows[-1].train_accuracy == 1.0
    assert all(parameter.device.type == "cpu" for parameter in run.model.parameters())
