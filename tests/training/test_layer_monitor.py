"""What is said of the layers is measured by another hand, and measuring changes no byte."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from alexnet.files import write_rows
from alexnet.signals import TrainingInterrupted
from alexnet.training.checkpoint import Checkpoints
from alexnet.training.cuda_graph import CUDAGraphStep
from alexnet.training.distributed import SINGLE_PROCESS
from alexnet.training.history import LayerEpoch
from alexnet.training.layer_monitor import LayerMonitor
from alexnet.training.loader import epoch_order
from tests.making import EVERYTHING, ignore, narrow, seeded, settings, train, trainer_of
from tests.training.test_cuda_graph import Recorder, batch_of

LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2", "fc3"]
MUON = EVERYTHING | {"muon_lr": 0.02, "muon_weight_decay": 0.1}


def by_layer(rows, epoch):
    return {row.layer: row for row in rows if row.epoch == epoch}


# The lengths


def test_lengths_are_those_of_the_gradient_and_of_the_step(metadata, digits):
    """One step of plain descent, by autograd and numpy: w moves by rate g, fc1 by a 36th."""
    params = settings(
        collapse_fc1="off", epochs=1, momentum=0.0, nesterov=False, learning_rate=0.36
    )
    run = train(seeded(), metadata, digits, params, num_images=16)
    twin = seeded()
    order = epoch_order(16, params.seed, 0)
    x = digits[0][order].float() / 255
    x = ((x - torch.tensor(metadata.mean)) / torch.tensor(metadata.std)).permute(0, 3, 1, 2)
    torch.nn.functional.cross_entropy(twin(x), digits[1][order]).backward()
    rows = by_layer(run.trainer.state.layer_rows, 1)
    assert list(rows) == LAYERS
    for name, row in rows.items():
        layer = getattr(twin, name)
        gradient = np.linalg.norm(layer.weight.grad.numpy())
        weight = np.linalg.norm(layer.weight.detach().numpy())
        rate = 0.01 if name == "fc1" else 0.36
        assert row.gradient_norm == pytest.approx(gradient, rel=1e-4), name
        assert row.weight_norm == pytest.approx(weight, rel=1e-5), name
        assert row.update_ratio == pytest.approx(rate * gradient / weight, rel=1e-3), name


def test_it_is_the_last_step_of_each_epoch_that_is_sampled(metadata, digits):
    norms = []

    def before_step(trainer, batch):
        norms.append(trainer.network.conv3.weight.norm().item())

    def after_step(trainer, batch):
        assert trainer.monitor.is_recording == (trainer.state.step % 5 == 4)

    trainer = trainer_of(
        seeded(),
        metadata,
        digits,
        settings(epochs=3, **MUON),
        before_step=before_step,
        after_step=after_step,
    )
    trainer.fit(ignore)
    assert [row.epoch for row in trainer.state.layer_rows] == [1] * 8 + [2] * 8 + [3] * 8
    found = [row.weight_norm for row in trainer.state.layer_rows if row.layer == "conv3"]
    assert found == pytest.approx([norms[4], norms[9], norms[14]], rel=1e-6)
    assert not trainer.monitor.is_recording


def test_the_gradient_is_that_before_clipping_and_before_muon(metadata, digits):
    """Muon replaces it by a step of one length, clipping shortens it: neither shows."""
    change = {"epochs": 1, "momentum": 0.0, "nesterov": False}
    plain = train(seeded(), metadata, digits, settings(**change), num_images=16)
    for other in ({"clip_norm": 1e-3}, {"muon_lr": 0.02}):
        run = train(seeded(), metadata, digits, settings(**change | other), num_images=16)
        for one, two in zip(
            plain.trainer.state.layer_rows, run.trainer.state.layer_rows, strict=True
        ):
            assert two.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-4), one.layer


def test_folded_or_not_gradients_and_updates_are_as_long(metadata, digits):
    rows = {}
    for collapse_fc1 in ("auto", "off"):
        run = train(
            seeded(), metadata, digits, settings(collapse_fc1=collapse_fc1, epochs=1), num_images=32
        )
        rows[collapse_fc1] = by_layer(run.trainer.state.layer_rows, 1)
    assert run.trainer.collapses is False
    for name in LAYERS:
        one, two = rows["auto"][name], rows["off"][name]
        assert one.gradient_norm == pytest.approx(two.gradient_norm, rel=1e-3), name
        if name == "fc1":  # the rate of the one is that of the other: as long a way
            ways = one.update_ratio * one.weight_norm, two.update_ratio * two.weight_norm
            assert ways[0] == pytest.approx(ways[1], rel=1e-3)
            assert one.weight_norm < two.weight_norm
        else:
            assert one.update_ratio == pytest.approx(two.update_ratio, rel=1e-3), name


# The ReLUs


def test_a_channel_that_answers_to_no_image_is_dead():
    torch.manual_seed(0)
    model = narrow().eval()
    with torch.no_grad():
        model.conv2.bias[:4] = -1e6  # of 16
        model.fc2.bias[:64] = -1e6  # of 256
    watch = LayerMonitor(model)
    with watch.track_dead_relus(), torch.inference_mode():
        for _ in range(3):
            model(torch.randn(50, 3, 32, 32))
    shares = {row.layer: row.dead_relus for row in watch.rows(1, SINGLE_PROCESS)}
    assert list(shares) == LAYERS
    assert shares["conv2"] == 4 / 16
    assert shares["fc2"] >= 0.25
    assert shares["conv1"] == 0
    assert shares["fc3"] is None, "no ReLU follows"


def test_answering_to_one_image_at_one_place_is_enough_to_live():
    model = narrow().eval()
    watch = LayerMonitor(model)
    with watch.track_dead_relus():
        for number in range(4):
            output = torch.full((2, 6, 8, 8), -1.0)
            output[1, number, 7, 3] = 0.5
            model.relu1(output)
    assert watch.active_units["conv1"].tolist() == [True] * 4 + [False] * 2


def test_no_hook_is_left_behind(metadata, digits):
    trainer = train(seeded(), metadata, digits, settings(epochs=1)).trainer
    assert not any(layer._forward_hooks for layer in trainer.network.modules())


# It only reads


def test_the_trained_bytes_are_those_of_a_run_without_it(metadata, digits, monkeypatch):
    params = settings(epochs=3, **MUON)
    watched = train(seeded(dropout=0.5), metadata, digits, params)
    monkeypatch.setattr(LayerMonitor, "record_step", lambda self, wanted: nullcontext())
    monkeypatch.setattr(LayerMonitor, "track_dead_relus", lambda self: nullcontext())
    monkeypatch.setattr(LayerMonitor, "rows", lambda self, epoch, distributed: [])
    blind = train(seeded(dropout=0.5), metadata, digits, params)
    assert len(watched.trainer.state.layer_rows) == 24
    assert blind.trainer.state.layer_rows == []
    for name, value in watched.model.state_dict().items():
        assert torch.equal(value, blind.model.state_dict()[name]), name
    assert watched.rows == blind.rows


@pytest.mark.parametrize("stop_at", [3, 5, 7])
def test_a_run_that_is_stopped_and_goes_on_writes_the_same_bytes(
    metadata, digits, tmp_path, stop_at
):
    """Step 5 is the sampled one of the first epoch: what it gave is in the checkpoint."""
    params = settings(epochs=3, **MUON)
    whole = train(seeded(dropout=0.5), metadata, digits, params).trainer
    checkpoints = Checkpoints(tmp_path / "kept", {})

    def stop(trainer, batch):
        if trainer.state.step + 1 == stop_at:
            trainer.shutdown.received_signal = 15

    first = trainer_of(
        seeded(dropout=0.5), metadata, digits, params, checkpoints=checkpoints, after_step=stop
    )
    with pytest.raises(TrainingInterrupted):
        first.fit(ignore)
    second = trainer_of(seeded(dropout=0.5), metadata, digits, params, checkpoints=checkpoints)
    assert second.state.step == stop_at
    second.fit(ignore)
    checkpoints.close()
    written = []
    for number, trainer in enumerate((whole, second)):
        path = tmp_path / f"{number}.csv"
        write_rows(path, LayerEpoch, trainer.state.layer_rows)
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_a_watched_step_is_not_replayed(monkeypatch):
    """What watches it is Python, which a recording leaves out."""
    recorder, watched, written = Recorder(monkeypatch), False, []

    def step(batch):
        if recorder.recording:
            recorder.recording.recorded.append(lambda: None)
        else:
            written.append(batch.labels.tolist())

    replayed = CUDAGraphStep(step, lambda: watched)
    for number in range(8):
        watched = number == 6
        replayed(batch_of(number))
    assert written == [[0], [1], [2], [6]]
