"""The network without the pool's copies: the same logits, and the same training."""

import copy
import math

import pytest
import torch
from torch import nn

from alexnet.network.collapse import (
    can_collapse,
    collapse_for_inference,
    collapse_for_training,
    expand_pool_copies,
    num_copies,
)
from alexnet.network.inputs import normalise
from alexnet.network.model import AlexNetCifar, AlexNetImageNet2012, AlexNetOneWeirdTrick
from alexnet.network.summary import num_parameters
from alexnet.training import optimizer
from tests.runs import narrow, settings


@pytest.mark.parametrize(
    ("variant", "image_size", "copies", "collapses"),
    [
        # pool5 leaves 1x1, 2x2, 3x3 and 6x6 positions, of which the average pool makes 6x6.
        (AlexNetCifar, 27, 36, True),
        (AlexNetCifar, 32, 36, True),
        (AlexNetCifar, 48, 9, False),
        (AlexNetCifar, 64, 4, False),
        (AlexNetCifar, 120, 1, False),
        (AlexNetCifar, 224, 1, False),
        (AlexNetImageNet2012, 227, 1, False),
        (AlexNetImageNet2012, 258, 1, False),
        (AlexNetOneWeirdTrick, 63, 36, True),
        (AlexNetOneWeirdTrick, 224, 1, False),
    ],
)
def test_num_copies(variant, image_size, copies, collapses):
    with torch.device("meta"):
        model = variant()
    assert num_copies(model, image_size) == copies
    assert can_collapse(model, image_size) == collapses


def test_the_average_pool_makes_that_many_copies():
    """Counted in its own output for values that all differ."""
    pool = AlexNetCifar(num_classes=2).avgpool
    for side, copies in ((1, 36), (2, 9), (3, 4), (6, 1)):
        values = torch.arange(5.0 * side * side).view(1, 5, side, side)
        found, counts = pool(values).unique(return_counts=True)
        assert torch.equal(found, values.flatten())
        assert counts.unique().tolist() == [copies]


def test_collapsing_for_inference_keeps_the_logits():
    model = AlexNetCifar().eval().double()
    x = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    with torch.inference_mode():
        before = model(x)
        collapsed = collapse_for_inference(model)
        torch.testing.assert_close(collapsed(x), before, rtol=1e-10, atol=1e-12)
        assert torch.equal(model(x), before), "the model itself is unchanged"
    assert num_parameters(collapsed) == 58_322_314 - 4096 * 256 * 35
    assert num_parameters(model) == 58_322_314


def test_collapsing_for_training_keeps_the_logits_and_expanding_restores_the_model(digits):
    model = narrow().double()
    before = copy.deepcopy(model)
    x = real_batches(digits)[0][0]
    collapsed = collapse_for_training(model)
    torch.testing.assert_close(collapsed(x), model(x), rtol=1e-10, atol=1e-12)
    theirs = {id(parameter) for parameter in model.parameters()}
    own = [name for name, value in collapsed.named_parameters() if id(value) not in theirs]
    assert own == ["fc1.weight"]
    expand_pool_copies(collapsed, model)
    assert_equal(model, before, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("clip_norm", [8.0, None])
def test_collapsed_training_takes_the_steps_of_sgd_on_the_full_network(digits, nesterov, clip_norm):
    """Against PyTorch's own SGD: every weight, in float64."""
    full, model = twins()
    params = settings(nesterov=nesterov, clip_norm=clip_norm)
    norms = train_full(full, real_batches(digits), params)
    train_collapsed(model, real_batches(digits), params)
    if clip_norm:
        assert min(norms) < clip_norm < max(norms), "some gradients are clipped, some are not"
    assert_equal(model, full)


def test_weight_decay_differs_only_where_no_logit_depends_on_it(digits):
    """Of fc1's 36 weights on the copies of a value, only the mean acts: all else agrees.

    The 35 other directions get no gradient. On the full network weight decay shrinks them;
    collapsed, they stay as they were initialised.
    """
    full, model = twins()
    initial = model.fc1.weight.detach().clone().view(256, 16, 36)
    params = settings(weight_decay=0.1, clip_norm=8.0)
    batches = real_batches(digits)
    train_full(full, batches, params)
    train_collapsed(model, batches, params)
    assert_equal(model, full, but="fc1.weight")
    ours, theirs = (m.fc1.weight.detach().view(256, 16, 36) for m in (model, full))
    torch.testing.assert_close(ours.mean(2), theirs.mean(2), rtol=1e-10, atol=1e-12)
    x = batches[0][0]
    torch.testing.assert_close(model(x), full(x), rtol=1e-10, atol=1e-12)

    without_mean = [weight - weight.mean(2, keepdim=True) for weight in (ours, theirs, initial)]
    torch.testing.assert_close(without_mean[0], without_mean[2], rtol=1e-10, atol=1e-12)
    assert without_mean[1].norm() < 0.999 * without_mean[2].norm()


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_collapsed_training_takes_the_steps_of_muon_on_the_full_network(digits, decay):
    """Muon rotates with the axes; the length of its step must count the copies as one column.

    With decay, the directions of fc1 without a gradient shrink in the full network alone.
    """
    full, model = twins()
    params = settings(muon_lr=0.02, muon_weight_decay=decay)
    steps = optimizer.build_optimizer(full, 36, params, torch.float64)
    descend(full, steps, real_batches(digits), params)
    before = model.fc1.weight.detach().clone()
    train_collapsed(model, real_batches(digits), params)
    assert (model.fc1.weight - before).abs().max() > 1e-3
    assert_equal(model, full, but="fc1.weight" if decay else None, rtol=1e-8, atol=1e-10)
    x = real_batches(digits)[0][0]
    torch.testing.assert_close(model(x), full(x), rtol=1e-8, atol=1e-10)


def assert_equal(model, full, but=None, rtol=1e-10, atol=1e-12):
    for name, value in model.state_dict().items():
        if name != but:
            torch.testing.assert_close(value, full.state_dict()[name], rtol=rtol, atol=atol)


def twins() -> tuple[AlexNetCifar, AlexNetCifar]:
    """Two float64 networks of the same random weights."""
    torch.manual_seed(0)
    first, second = narrow().double(), narrow().double()
    second.load_state_dict(first.state_dict())
    return first, second


def real_batches(digits) -> list[tuple[torch.Tensor, torch.Tensor]]:
    images, labels = digits
    x = normalise(images[:160], (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)).double()
    return list(zip(x.split(16), labels[:160].split(16), strict=True))


def descend(network, steps, batches, params) -> None:
    for number, (x, labels) in enumerate(batches):
        optimizer.set_learning_rate(steps, number, len(batches), params)
        loss = nn.functional.cross_entropy(network(x), labels)
        steps.zero_grad()
        loss.backward()
        steps.step()


def train_collapsed(model, batches, params) -> None:
    collapsed = collapse_for_training(model)
    descend(
        collapsed, optimizer.build_optimizer(collapsed, 36, params, torch.float64), batches, params
    )
    expand_pool_copies(collapsed, model)


def train_full(model, batches, params) -> list[float]:
    """Train by PyTorch's SGD and clipping, on the full network; returns the gradients' norms."""
    rest = [value for name, value in model.named_parameters() if name != "fc1.weight"]
    slow = {"params": [model.fc1.weight], "lr": params.learning_rate / 36}
    steps = torch.optim.SGD(
        [{"params": rest}, slow],
        lr=params.learning_rate,
        momentum=params.momentum,
        nesterov=params.nesterov,
        weight_decay=params.weight_decay,
    )
    norms = []
    for x, labels in batches:
        steps.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        longest = params.clip_norm or math.inf
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), longest).item())
        steps.step()
    return norms
