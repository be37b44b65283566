"""The schedule and the step, against values computed by hand."""

import pytest
import torch

from alexnet.model import AlexNetCifar, AlexNetImageNet2012, AlexNetOneWeirdTrick
from alexnet.optimizer import clip_gradient, learning_rate, num_copies, set_learning_rate, sgd


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1, 1, 0.8535534, 0.5, 0.1464466]),
    ],
)
def test_learning_rate(shape, expected):
    rates = [learning_rate(step, 6, 1.0, 2 / 6, shape) for step in range(6)]
    assert rates == pytest.approx(expected)


def test_no_warm_up_starts_at_the_peak():
    assert learning_rate(0, 10, 0.3, 0.0, "linear") == 0.3


def test_fc1_takes_a_36th_of_the_rate_where_it_sees_each_value_36_times(params):
    with torch.device("meta"):
        model = AlexNetCifar()
        assert num_copies(model, 32) == 36
        assert num_copies(model, 224) == 1
        assert num_copies(AlexNetImageNet2012(), 227) == 1
        assert num_copies(AlexNetOneWeirdTrick(), 224) == 1
    optimizer = sgd(model, 32, params.train)
    set_learning_rate(optimizer, 0, 1, params.train.model_copy(update={"warmup_fraction": 0.0}))
    rates = {
        id(parameter): group["lr"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    assert len(rates) == len(list(model.parameters()))
    assert rates[id(model.fc1.weight)] == pytest.approx(params.train.learning_rate / 36)
    assert rates[id(model.fc2.weight)] == params.train.learning_rate


def test_two_steps_of_sgd_by_hand(params):
    """v <- m v + (g + d w); w <- w - lr (g + d w + m v), Nesterov's as PyTorch writes it."""
    train = params.train.model_copy(
        update={"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}
    )
    model = AlexNetCifar(num_classes=2)
    optimizer = sgd(model, 32, train)
    bias = model.fc3.bias
    with torch.no_grad():
        bias.copy_(torch.tensor([1.0, -2.0]))
    w, v = torch.tensor([1.0, -2.0]), torch.zeros(2)
    for g in (torch.tensor([0.5, 0.25]), torch.tensor([-1.0, 0.0])):
        bias.grad = g.clone()
        optimizer.step()
        decayed = g + 0.01 * w
        v = 0.9 * v + decayed
        w = w - 0.1 * (decayed + 0.9 * v)
        torch.testing.assert_close(bias.detach(), w)


@pytest.mark.parametrize(("clip_norm", "expected"), [(1.0, [0.6, 0.8]), (None, [3.0, 4.0])])
def test_a_long_gradient_is_shortened(params, clip_norm, expected):
    model = AlexNetCifar(num_classes=2)
    model.fc3.bias.grad = torch.tensor([3.0, 4.0])
    clip_gradient(model, params.train.model_copy(update={"clip_norm": clip_norm}))
    torch.testing.assert_close(model.fc3.bias.grad, torch.tensor(expected))
