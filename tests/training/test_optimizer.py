"""The step, its learning rate and the average, against values computed by hand."""

import math

import numpy as np
import pytest
import torch

from alexnet.network.model import AlexNetCifar
from alexnet.training.averaging import ExponentialMovingAverage
from alexnet.training.batch_norm import with_batch_norm
from alexnet.training.optimizer import (
    build_optimizer,
    schedule,
    set_learning_rate,
)
from tests.batch_norm import AlexNetBatchNorm
from tests.runs import narrow, settings

# The learning rate


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
    assert schedule(0, 10, settings(schedule=shape, warmup_fraction=0.0)) == 1.0


@pytest.mark.parametrize("num_steps", [1, 2, 7])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 0.99])
def test_each_step_has_a_rate_above_zero(num_steps, warmup):
    """Also if the warm-up takes all of a short run."""
    params = settings(schedule="linear", warmup_fraction=warmup)
    shares = [schedule(step, num_steps, params) for step in range(num_steps)]
    assert all(0 < share <= 1 for share in shares)


@pytest.mark.parametrize("muon", [None, 0.02])
def test_scales_and_shifts_are_not_decayed(muon):
    """They train by SGD; the biases that they replace do not train at all."""
    network = with_batch_norm(narrow())
    params = settings(weight_decay=0.1, muon_lr=muon)
    optimizer = build_optimizer(network, 1, params, torch.float32)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    groups = {
        names.pop(id(parameter)): group
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert not names, "each parameter is in one group"
    assert groups.keys() == network.state_dict().keys()
    for name, group in groups.items():
        if ".norm." in name:
            assert (group["weight_decay"], group["use_muon"]) == (0.0, False), name
        else:
            assert group["weight_decay"] > 0 or group["use_muon"], name
    assert [name for name in groups if name.endswith("bias") and ".norm." not in name] == [
        "fc3.bias"
    ]


def test_fc1_has_a_36th_of_the_rate_where_it_gets_each_value_36_times():
    model, params = narrow(), settings(learning_rate=0.72)
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


@pytest.mark.gpu
def test_on_a_gpu_the_rate_is_a_tensor_that_a_cuda_graph_can_read():
    model = AlexNetCifar().cuda()
    params = settings(learning_rate=0.72, schedule="linear")
    optimizer = build_optimizer(model, 36, params, torch.float32)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert all(rate.is_cuda for rate in rates)
    set_learning_rate(optimizer, 1, 2, params)
    assert [rate.item() for rate in rates] == pytest.approx([0.36, 0.01])
    assert [group["lr"] for group in optimizer.param_groups] == rates, "the same tensors"


# SGD


@pytest.mark.parametrize("weight_decay", [0.0, 0.01])
@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_steps_of_sgd_by_hand(momentum, nesterov, weight_decay):
    """v <- m v + g + d w; w <- w - lr v, or with Nesterov's w - lr (g + d w + m v).

    Over five steps whose rate changes, at fc1's own rate and at that of the others.
    """
    sgd = {"momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    params = settings(learning_rate=0.36, schedule="linear", warmup_fraction=0.4, **sgd)
    model = narrow().double()
    optimizer = build_optimizer(model, 36, params, torch.float32)
    max_lr = {"fc1.weight": 0.01, "fc2.weight": 0.36, "conv1.bias": 0.36}
    parameters = dict(model.named_parameters())
    w = {name: parameters[name].detach().numpy().copy() for name in max_lr}
    v = {name: np.zeros_like(value) for name, value in w.items()}
    generator = np.random.default_rng(0)
    for step, share in enumerate([1 / 2, 1, 1, 2 / 3, 1 / 3]):
        gradients = {name: generator.normal(size=value.shape) for name, value in w.items()}
        for name, gradient in gradients.items():
            parameters[name].grad = torch.from_numpy(gradient.copy())
        set_learning_rate(optimizer, step, 5, params)
        optimizer.step()
        for name in w:
            g = gradients[name] + weight_decay * w[name]
            v[name] = momentum * v[name] + g
            direction = g + momentum * v[name] if nesterov else v[name]
            w[name] = w[name] - share * max_lr[name] * direction
            np.testing.assert_allclose(parameters[name].detach().numpy(), w[name], atol=1e-13)


def test_the_momentum_exists_before_the_first_step():
    """So that a checkpoint before the first step has the same tensors as one after it."""
    model = narrow()
    optimizer = build_optimizer(model, 36, settings(), torch.float32)
    before = [set(optimizer.state[parameter]) for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert before == [set(optimizer.state[parameter]) for parameter in model.parameters()]
    assert set.union(*before) == {"momentum_buffer"}


@pytest.mark.parametrize(
    ("clip_norm", "muon", "expected"),
    [
        (1.0, None, [0.6, 0.8]),
        (10.0, None, [3.0, 4.0]),
        (None, None, [3.0, 4.0]),
        (3.5, 0.02, [3.0, None]),  # Muon's gradient of conv5 is not clipped and does not count
        (1.0, 0.02, [1.0, None]),
    ],
)
def test_the_gradient_is_clipped_to_a_norm(clip_norm, muon, expected):
    """Of all parameters together: here the gradients of fc3 and of conv5 are 3 and 4."""
    params = settings(
        clip_norm=clip_norm, muon_lr=muon, learning_rate=1.0, momentum=0.0, nesterov=False
    )
    model = narrow(num_classes=2)
    optimizer = build_optimizer(model, 1, params, torch.float32)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    model.fc3.bias.grad[0] = 3.0
    model.conv5.weight.grad[2, 5, 0, 0] = 4.0
    before = model.fc3.bias[0].item(), model.conv5.weight[2, 5, 0, 0].item()
    optimizer.step()
    after = model.fc3.bias[0].item(), model.conv5.weight[2, 5, 0, 0].item()
    for a, b, step in zip(before, after, expected, strict=True):
        assert step is None or a - b == pytest.approx(step, rel=1e-5)


# The average of the weights


def test_the_average_is_the_weighted_mean():
    """The last step counts 1, the one before `decay`, the one before that `decay`^2, ..."""
    decay, model, seen = 0.75, torch.nn.Linear(3, 1, bias=False), []
    average = ExponentialMovingAverage(model, decay)
    for step in range(6):
        with torch.no_grad():
            model.weight.copy_(torch.tensor([[1.0, -2.0, 0.5]]) * math.sin(step + 1))
        average.update()
        seen.append(model.weight.detach().numpy().copy())
        counts = np.array([decay ** (step - past) for past in range(step + 1)])
        expected = np.tensordot(counts / counts.sum(), np.stack(seen), axes=1)
        result = average.averaged(step + 1)
        assert list(result) == ["weight"]
        np.testing.assert_allclose(result["weight"].numpy(), expected, rtol=1e-6)
    assert torch.equal(model.weight, torch.from_numpy(seen[-1])), "the network is unchanged"


def test_the_average_after_one_step_equals_its_weights():
    model = narrow()
    average = ExponentialMovingAverage(model, 0.999)
    average.update()
    for name, value in average.averaged(1).items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-4, atol=1e-7)


def test_the_average_includes_buffers_and_copies_integers():
    model = AlexNetBatchNorm()
    average = ExponentialMovingAverage(model, 0.75)
    for mean in (1.0, 5.0):
        model.bn1.running_mean.fill_(mean)
        model.bn1.num_batches_tracked += 1
        average.update()
    result = average.averaged(2)
    expected = torch.full((8,), (0.75 * 1 + 5) / 1.75)
    torch.testing.assert_close(result["bn1.running_mean"], expected)
    assert result["bn1.num_batches_tracked"] == 2
