"""The time of each layer; the network stays as it was."""

import time

import pytest
import torch

from alexnet.evaluation import layer_profile as timing
from alexnet.evaluation.layer_profile import time_layers
from alexnet.network.collapse import collapse_for_training
from alexnet.training.device import DeviceConfig
from tests.batch_norm import AlexNetBatchNorm
from tests.runs import ON_CPU, narrow


@pytest.fixture(autouse=True)
def one_round(monkeypatch):
    monkeypatch.setattr(timing, "ROUNDS", 1)


def test_a_layer_that_sleeps_is_the_slowest():
    model = narrow()
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


@pytest.mark.parametrize("make", [narrow, AlexNetBatchNorm])
@pytest.mark.parametrize("collapses", [False, True])
def test_every_layer_is_timed_and_the_network_stays_as_it_was(make, collapses):
    model = collapse_for_training(make()) if collapses else make()
    model.conv1.eval()
    modes = [layer.training for layer in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows = time_layers(model, 32, batch_size=2, device_config=ON_CPU)
    assert [row.layer for row in rows] == [name for name, _ in model.named_children()]
    assert all(row.forward_seconds > 0 and row.backward_seconds > 0 for row in rows)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [layer.training for layer in model.modules()] == modes


def test_on_a_cpu_the_batch_is_capped():
    assert batch_that_is_timed(ON_CPU, 300) == 128


@pytest.mark.gpu
def test_on_a_gpu_the_batch_is_the_one_that_trains():
    gpu = DeviceConfig(torch.device("cuda:0"), torch.bfloat16)
    assert batch_that_is_timed(gpu, 300) == 300


def batch_that_is_timed(device_config, batch_size):
    sizes = set()
    model = narrow()
    model.conv1.register_forward_hook(lambda layer, inputs, output: sizes.add(len(output)))
    rows = time_layers(model, 32, batch_size, device_config)
    assert all(row.forward_seconds > 0 and row.backward_seconds > 0 for row in rows)
    (size,) = sizes
    return size
