"""The step, its learning rate and the average, against values computed by hand."""

import math

import numpy as np
import pytest
import torch

from alexnet.network.model import AlexNetCifar
from alexnet.training.averaging import ExponentialMovingAverage
from alexnet.training.optimizer import (
    build_optimizer,
    clip_gradient,
    schedule,
    set_learning_rate,
)
from tests.runs import narrow, settings


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1, 1, 0.8535534, 0.5, 0.1464466]),
    ],
)
def test_schedule(shape, expected):
    """Two steps of warm-up, then four that fall to zero just after the last one."""
    params = settings(schedule=shape, warmup_fraction=2 / 6)
    assert [schedule(step, 6, params) for step in range(6)] == pytest.approx(expected)


@pytest.mark.parametrize("shape", ["constant", "linear", "cosine"])
def test_no_warm_up_starts_at_the_peak(shape):
    assert schedule(0, 10, settings(schedule=shape, warmup_fraction=0.0)) == 1.0


@pytest.mark.parametrize("num_steps", [1, 2, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 0.99])
def test_every_step_has_a_rate_above_zero(num_steps, warmup):
    """However short the run: a warm-up that takes all of it leaves nothing to divide by."""
    params = settings(schedule="linear", warmup_fraction=warmup)
    shares = [schedule(step, num_steps, params) for step in range(num_steps)]
    assert all(0 < share <= 1 for share in shares)


def test_fc1_takes_a_36th_of_the_rate_where_it_sees_each_value_36_times():
    model = narrow()
    params = settings(learning_rate=0.72)
    optimizer = build_optimizer(model, 36, params, torch.float32)
    set_learning_rate(optimizer, 0, 1, params)
    rates = {
        id(parameter): group["lr"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert len(rates) == len(list(model.parameters())), "each parameter is in one group"
    for name, parameter in model.named_parameters():
        expected = 0.02 if name == "fc1.weight" else 0.72
        assert rates[id(parameter)] == pytest.approx(expected), name


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
def test_steps_of_sgd_by_hand(momentum, nesterov, weight_decay):
    """v <- m v + g + d w; w <- w - lr v, or with Nesterov's w - lr (g + d w + m v).

    Over five steps whose rate changes, at fc1's own rate and at that of all others.
    """
    params = settings(
        learning_rate=0.36,
        momentum=momentum,
        nesterov=nesterov and momentum > 0,
        weight_decay=weight_decay,
        schedule="linear",
        warmup_fraction=0.4,
    )
    model = narrow().double()
    optimizer = build_optimizer(model, 36, params, torch.float32)
    assert all(group["fused"] for group in optimizer.param_groups)
    watched = {"fc1.weight": 0.01, "fc2.weight": 0.36, "conv1.bias": 0.36}
    parameters = dict(model.named_parameters())
    w = {name: parameters[name].detach().numpy().copy() for name in watched}
    v = {name: np.zeros_like(value) for name, value in w.items()}
    generator = np.random.default_rng(0)
    for step, share in enumerate([1 / 2, 1, 1, 2 / 3, 1 / 3]):
        gradients = {name: generator.normal(size=value.shape) for name, value in w.items()}
        for name, parameter in parameters.items():
            gradient = gradients.get(name)
            parameter.grad = None if gradient is None else torch.from_numpy(gradient.copy())
        set_learning_rate(optimizer, step, 5, params)
        optimizer.step()
        for name, peak in watched.items():
            g = gradients[name] + weight_decay * w[name]
            v[name] = momentum * v[name] + g
            direction = g + momentum * v[name] if params.nesterov else v[name]
            w[name] = w[name] - share * peak * direction
            np.testing.assert_allclose(parameters[name].detach().numpy(), w[name], atol=1e-13)


def test_the_momentum_is_there_from_the_start():
    """A checkpoint before the first step holds the same tensors as one after it."""
    model = narrow()
    optimizer = build_optimizer(model, 36, settings(), torch.float32)
    before = [set(optimizer.state[parameter]) for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert before == [set(optimizer.state[parameter]) for parameter in model.parameters()]
    assert set.union(*before) == {"momentum_buffer"}


@pytest.mark.parametrize(
    ("clip_norm", "expected"),
    [(1.0, [0.6, 0.8]), (10.0, [3.0, 4.0]), (None, [3.0, 4.0])],
)
def test_a_long_gradient_is_shortened(clip_norm, expected):
    """Over all parameters together: here two of them, of gradients 3 and 4."""
    model = narrow(num_classes=2)
    optimizer = build_optimizer(model, 36, settings(), torch.float32)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    model.fc3.bias.grad[0] = 3.0
    model.fc1.weight.grad[2, 5] = 4.0
    clip_gradient(optimizer, settings(clip_norm=clip_norm))
    found = [model.fc3.bias.grad[0].item(), model.fc1.weight.grad[2, 5].item()]
    assert found == pytest.approx(expected, rel=1e-5)


def test_muons_gradients_are_not_clipped_and_do_not_count():
    model = narrow(num_classes=2)
    optimizer = build_optimizer(model, 36, settings(muon_lr=0.02), torch.float32)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    model.fc3.bias.grad[0] = 3.0
    model.fc1.weight.grad[2, 5] = 4.0
    clip_gradient(optimizer, settings(clip_norm=3.5))
    assert model.fc3.bias.grad[0].item() == 3.0
    assert model.fc1.weight.grad[2, 5].item() == 4.0


def test_the_average_is_the_sum_written_out():
    """The last step counts 1, the one before `decay`, the one before that `decay`^2, ..."""
    decay, num_steps = 0.75, 6
    model = ThreeWeights()
    average = ExponentialMovingAverage(model, decay)
    seen = []
    for step in range(num_steps):
        with torch.no_grad():
            model.weight.copy_(torch.tensor([1.0, -2.0, 0.5]) * math.sin(step + 1))
        average.update()
        seen.append(model.weight.detach().numpy().copy())
        counts = np.array([decay ** (step - past) for past in range(step + 1)])
        expected = (counts[:, None] * np.array(seen)).sum(0) / counts.sum()
        result = average.averaged(step + 1)
        assert list(result) == ["weight"]
        np.testing.assert_allclose(result["weight"].numpy(), expected, rtol=1e-6)
    assert torch.equal(model.weight, torch.from_numpy(seen[-1])), "the network is left alone"


class ThreeWeights(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(3))


def test_the_average_after_one_step_is_that_step():
    model = narrow()
    average = ExponentialMovingAverage(model, 0.999)
    average.update()
    for name, value in average.averaged(1).items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-4, atol=1e-7)


@pytest.mark.gpu
def test_on_a_gpu_the_rate_lies_where_a_recorded_step_can_read_it():
    model = AlexNetCifar().cuda()
    params = settings(learning_rate=0.72, schedule="linear")
    optimizer = build_optimizer(model, 36, params, torch.float32)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert all(rate.is_cuda for rate in rates)
    set_learning_rate(optimizer, 1, 2, params)
    assert [rate.item() for rate in rates] == pytest.approx([0.36, 0.01])
    assert [group["lr"] for group in optimizer.param_groups] == rates, "the same tensors"
