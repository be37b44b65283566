"""Figures of the layers against independent ones; recording them changes no byte."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from alexnet.network.inputs import normalise
from alexnet.training.distributed import SINGLE_PROCESS
from alexnet.training.layer_monitor import LayerMonitor
from alexnet.training.loader import epoch_order
from tests.conftest import METADATA
from tests.runs import (
    EVERYTHING,
    MUON,
    ignore,
    narrow,
    seeded,
    settings,
    train,
    trainer_of,
)

LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2", "fc3"]


def by_layer(run):
    """{layer: its row} of a run of one epoch."""
    return {row.layer: row for row in run.trainer.state.layer_rows}


# Norms


def test_norms_of_the_gradient_and_of_the_update(digits):
    """One step of plain SGD, by autograd and numpy: w moves by rate g, fc1 by a 36th of it.

    Neither clipping, which shortens the gradient, nor Muon, which replaces it, changes its norm.
    """
    plain = {"epochs": 1, "momentum": 0.0, "nesterov": False, "learning_rate": 0.36}
    params = settings(collapse_fc1="off", **plain)
    rows = by_layer(train(seeded(), params, num_images=16))
    twin = seeded()
    order = epoch_order(16, params.seed, 0)
    x = normalise(digits[0][order], METADATA.mean, METADATA.std)
    torch.nn.functional.cross_entropy(twin(x), digits[1][order]).backward()
    assert list(rows) == LAYERS
    for name, row in rows.items():
        layer = getattr(twin, name)
        gradient = np.linalg.norm(layer.weight.grad.numpy())
        weight = np.linalg.norm(layer.weight.detach().numpy())
        rate = 0.01 if name == "fc1" else 0.36
        assert row.gradient_norm == pytest.approx(gradient, rel=1e-4), name
        assert row.weight_norm == pytest.approx(weight, rel=1e-5), name
        assert row.update_ratio == pytest.approx(rate * gradient / weight, rel=1e-3), name
    for change in ({"clip_norm": 1e-3}, {"muon_lr": 0.02}):
        others = by_layer(train(seeded(), settings(**plain, **change), num_images=16))
        for name, row in rows.items():
            assert others[name].gradient_norm == pytest.approx(row.gradient_norm, rel=1e-3), name


def test_the_last_step_of_each_epoch_is_recorded():
    norms = []

    def before_step(trainer, batch):
        norms.append(trainer.network.conv3.weight.norm().item())

    def after_step(trainer, batch):
        assert trainer.monitor.is_recording == (trainer.state.step % 5 == 4)

    params = settings(**EVERYTHING, **MUON)
    trainer = trainer_of(seeded(), params, before_step=before_step, after_step=after_step)
    trainer.fit(ignore)
    assert [row.epoch for row in trainer.state.layer_rows] == [1] * 8 + [2] * 8
    found = [row.weight_norm for row in trainer.state.layer_rows if row.layer == "conv3"]
    assert found == pytest.approx([norms[4], norms[9]], rel=1e-6)
    assert not trainer.monitor.is_recording
    assert not any(layer._forward_hooks for layer in trainer.network.modules())


def test_norms_are_those_of_the_full_network_where_fc1_is_collapsed():
    """But for fc1's weights: there are fewer of them."""
    collapsed, full = (
        by_layer(train(seeded(), settings(collapse_fc1=collapse, epochs=1), num_images=32))
        for collapse in ("auto", "off")
    )
    for name in LAYERS:
        one, two = collapsed[name], full[name]
        assert one.gradient_norm == pytest.approx(two.gradient_norm, rel=1e-3), name
        updates = one.update_ratio * one.weight_norm, two.update_ratio * two.weight_norm
        assert updates[0] == pytest.approx(updates[1], rel=1e-3), name
        if name == "fc1":
            assert one.weight_norm < two.weight_norm
        else:
            assert one.update_ratio == pytest.approx(two.update_ratio, rel=1e-3), name


# ReLUs


def test_a_channel_that_is_0_for_all_images_is_dead():
    model = seeded().eval()
    with torch.no_grad():
        model.conv2.bias[:4] = -1e6  # of 16
        model.fc2.bias[:64] = -1e6  # of 256
    monitor = LayerMonitor(model)
    with monitor.track_dead_relus(), torch.inference_mode():
        for _ in range(3):
            model(torch.randn(50, 3, 32, 32))
    shares = {row.layer: row.dead_relus for row in monitor.rows(1, SINGLE_PROCESS)}
    assert list(shares) == LAYERS
    assert shares["conv2"] == 4 / 16
    assert shares["fc2"] >= 0.25
    assert shares["conv1"] == 0
    assert shares["fc3"] is None, "no ReLU follows"


def test_a_channel_above_0_for_one_image_at_one_position_is_active():
    model = narrow().eval()
    monitor = LayerMonitor(model)
    with monitor.track_dead_relus():
        for channel in range(4):
            output = torch.full((2, 6, 8, 8), -1.0)
            output[1, channel, 7, 3] = 0.5
            model.relu1(output)
    assert monitor.active_units["conv1"].tolist() == [True] * 4 + [False] * 2


def test_a_run_without_the_monitor_trains_the_same_bytes(monkeypatch):
    params = settings(**EVERYTHING, **MUON)
    weights, rows, layer_rows, filters = train(seeded(dropout=0.5), params).results
    monkeypatch.setattr(LayerMonitor, "record_step", lambda self, wanted: nullcontext())
    monkeypatch.setattr(LayerMonitor, "track_dead_relus", lambda self: nullcontext())
    monkeypatch.setattr(LayerMonitor, "rows", lambda self, epoch, distributed: [])
    assert train(seeded(dropout=0.5), params).results == (weights, rows, [], filters)
    assert len(layer_rows) == 16
