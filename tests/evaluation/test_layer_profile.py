"""Time is measured layer by layer, and measuring leaves nothing behind."""

import time

import pytest
import torch

from alexnet.errors import UserError
from alexnet.evaluation import layer_profile as timing
from alexnet.evaluation.layer_profile import LayerTime, time_layers
from alexnet.network.collapse import collapse_for_training
from tests.making import ON_CPU, narrow


def test_each_layer_is_timed_in_the_order_they_run(monkeypatch):
    """A layer that sleeps is found, forward and backward; the network stays as it was."""
    monkeypatch.setattr(timing, "ROUNDS", 1)
    model = narrow()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    forward = model.conv3.forward

    def slow(x):
        time.sleep(0.2)
        return forward(x)

    model.conv3.forward = slow
    rows = time_layers(model, 32, batch_size=4, device_config=ON_CPU)
    assert [row.layer for row in rows] == [name for name, _ in model.named_children()]
    slowest = max(rows, key=lambda row: row.forward_seconds)
    assert slowest.layer == "conv3"
    assert slowest.forward_seconds >= 0.2 / 4
    assert all(row.forward_seconds > 0 and row.backward_seconds > 0 for row in rows)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_network_that_trains_without_copies_is_timed_too(monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", 1)
    folded = collapse_for_training(narrow())
    names = [row.layer for row in time_layers(folded, 32, 2, ON_CPU)]
    assert names == [name for name, _ in folded.named_children()]


def test_the_file_holds_what_was_measured(tmp_path):
    rows = [LayerTime("conv1", 1.25e-5, 3e-5), LayerTime("relu1", 0.0, 1e-7)]
    timing.write(tmp_path / "timing.csv", rows)
    assert timing.read(tmp_path / "timing.csv") == rows
    (tmp_path / "other.csv").write_text("layer\nconv1\n")
    with pytest.raises(UserError, match=r"other\.csv is not a table of times"):
        timing.read(tmp_path / "other.csv")
