"""The reference operations, against PyTorch's: forward, backward, and training runs."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from alexnet.network.collapse import collapse_for_training
from alexnet.network.model import VARIANTS, AlexNetCifar
from alexnet.network.reference.convolution import Convolution
from alexnet.network.reference.descent import nesterov_step
from alexnet.network.reference.loss import CrossEntropy
from alexnet.network.reference.network import COUNTERPARTS, with_reference_operations
from alexnet.network.reference.neurons import Dropout, Linear, ReLU
from alexnet.network.reference.normalisation import (
    BatchNormalisation,
    LocalResponseNormalisation,
)
from alexnet.network.reference.pooling import AdaptiveAveragePool, MaxPool
from alexnet.network.summary import summarize
from tests import runs

shapes = settings(derandomize=True, deadline=None, max_examples=40, database=None)
few = st.integers(1, 4)
sides = st.integers(1, 13)
seeds = st.integers(0, 1000)


def normal(seed, *shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.manual_seed(seed))


def check(reference, library, *inputs):
    """Assert equal outputs and, for a random output gradient, equal gradients of all inputs."""
    found = [value.clone().requires_grad_() for value in inputs]
    expected = [value.clone().requires_grad_() for value in inputs]
    y, y_expected = reference(*found), library(*expected)
    torch.testing.assert_close(y, y_expected, atol=1e-10, rtol=1e-10)
    gradient = normal(7, *y_expected.shape)
    y.backward(gradient)
    y_expected.backward(gradient)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-10, rtol=1e-10)


# The operations, over random shapes


@shapes
@given(few, few, few, few, sides, sides, st.integers(1, 5), few, st.integers(0, 3), seeds)
def test_convolution(num, c, d, groups, height, width, kernel, stride, padding, seed):
    assume(min(height, width) + 2 * padding >= kernel)
    check(
        lambda x, w, b: Convolution.apply(x, w, b, stride, padding, groups),
        lambda x, w, b: F.conv2d(x, w, b, stride, padding, groups=groups),
        normal(seed, num, c * groups, height, width),
        normal(seed + 1, d * groups, c, kernel, kernel),
        normal(seed + 2, d * groups),
    )


@shapes
@given(few, few, sides, sides, st.integers(1, 5), few, st.integers(0, 2), st.booleans(), seeds)
def test_max_pool(num, c, height, width, kernel, stride, padding, with_ties, seed):
    assume(min(height, width) + 2 * padding >= kernel and padding <= kernel // 2)
    x = normal(seed, num, c, height, width)
    check(
        lambda x: MaxPool.apply(x, kernel, stride, padding),
        lambda x: F.max_pool2d(x, kernel, stride, padding),
        x.round() if with_ties else x,  # after a ReLU many are equal: the first one wins
    )


@shapes
@given(few, few, sides, sides, st.integers(1, 7), seeds)
def test_adaptive_average_pool(num, c, height, width, size, seed):
    check(
        lambda x: AdaptiveAveragePool.apply(x, size),
        lambda x: F.adaptive_avg_pool2d(x, size),
        normal(seed, num, c, height, width),
    )


@shapes
@given(few, st.integers(1, 9), few, few, st.integers(1, 6), st.floats(0, 2), st.floats(0.1, 2))
def test_local_response_normalisation(num, c, height, width, n, alpha, beta):
    check(
        lambda a: LocalResponseNormalisation.apply(a, n, alpha, beta, 2.0),
        lambda a: F.local_response_norm(a, n, alpha * n, beta, 2.0),
        normal(0, num, c, height, width),
    )


@shapes
@given(few, few, st.lists(sides, max_size=2), seeds)
def test_batch_normalisation(num, c, places, seed):
    check(
        lambda x, scale, shift: BatchNormalisation.apply(x, scale, shift, 1e-3, lambda own: own),
        lambda x, scale, shift: torch.batch_norm(
            x, scale, shift, None, None, True, 0.0, 1e-3, False
        ),
        normal(seed, num, c, *places),
        normal(seed + 1, c),
        normal(seed + 2, c),
    )


@shapes
@given(few, few, few, seeds)
def test_linear(num, inputs, outputs, seed):
    check(
        Linear.apply,
        F.linear,
        normal(seed, num, inputs),
        normal(seed + 1, outputs, inputs),
        normal(seed + 2, outputs),
    )


@shapes
@given(few, sides, seeds)
def test_relu(num, size, seed):
    check(ReLU.apply, F.relu, normal(seed, num, size).round())  # some are 0 exactly


@shapes
@given(few, sides, st.floats(0.05, 0.95), seeds)
def test_dropout(num, size, p, seed):
    def seeded(operation):
        def apply(x):
            torch.manual_seed(seed)
            return operation(x, p)

        return apply

    check(seeded(Dropout.apply), seeded(F.dropout), normal(seed, num, size))


@shapes
@given(few, st.integers(2, 9), st.floats(0, 0.9), st.sampled_from([1.0, 100.0]), seeds)
def test_cross_entropy(num, classes, smoothing, scale, seed):
    labels = torch.randint(classes, (num,), generator=torch.manual_seed(seed))
    check(
        lambda logits: CrossEntropy.apply(logits, labels, smoothing),
        lambda logits: F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none"),
        scale * normal(seed, num, classes),  # 100: e^logits would overflow in float32
    )


@shapes
@given(few, st.floats(1e-4, 1), st.floats(0.1, 0.99), st.floats(0, 0.1), seeds)
def test_three_nesterov_steps(size, rate, momentum, decay, seed):
    weight = normal(seed, size)
    theirs = nn.Parameter(weight.clone())
    optimizer = torch.optim.SGD([theirs], rate, momentum, nesterov=True, weight_decay=decay)
    velocity = torch.zeros_like(weight)
    for step in range(3):
        theirs.grad = normal(seed + step, size)
        optimizer.step()
        nesterov_step(weight, theirs.grad, velocity, rate, momentum, decay)
        torch.testing.assert_close(weight, theirs.data, atol=1e-10, rtol=1e-10)


def test_cross_entropy_does_not_overflow():
    loss = CrossEntropy.apply(torch.tensor([[1e4, 0.0]]), torch.tensor([1]), 0.0)
    assert loss.item() == 1e4


# The network made of them


def operations_of(network, x):
    """The names of the nodes of the autograd graph."""
    seen, waiting = {}, [network(x).grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen[node] = node.name()
            waiting += [before for before, _ in node.next_functions]
    return set(seen.values())


def test_the_graph_has_reference_operations_alone():
    """Flattening aside; also in the collapsed network."""
    model = runs.narrow(dropout=0.5)
    ours = {"Convolution", "ReLU", "MaxPool", "AdaptiveAveragePool", "Dropout", "Linear"}
    no_arithmetic = {"ViewBackward0", "torch::autograd::AccumulateGrad"}
    reference = with_reference_operations(model)
    names = operations_of(reference, torch.randn(2, 3, 32, 32)) - no_arithmetic
    assert names == {f"{name}Backward" for name in ours}
    names = (
        operations_of(collapse_for_training(reference), torch.randn(2, 3, 32, 32)) - no_arithmetic
    )
    assert names == {f"{name}Backward" for name in ours - {"AdaptiveAveragePool"}} | {
        "MulBackward0"  # Scale
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_a_reference_network_with_the_same_table(variant):
    with torch.device("meta"):
        model = VARIANTS[variant]()
    reference = with_reference_operations(model)
    assert {type(layer) for layer in reference.children()} <= set(COUNTERPARTS.values())
    assert summarize(reference) == summarize(model)
    assert {type(layer) for layer in model.children()} <= set(COUNTERPARTS), "it is unchanged"
    shared = zip(reference.named_parameters(), model.named_parameters(), strict=True)
    assert all(name == other and one is two for (name, one), (other, two) in shared)


@pytest.mark.parametrize("variant", ["imagenet-2012", "one-weird-trick"])
def test_logits_of_the_large_variants(variant):
    torch.manual_seed(0)
    model = VARIANTS[variant](num_classes=3).eval()
    x = torch.randn(1, 3, model.image_size, model.image_size)
    with torch.no_grad():
        torch.testing.assert_close(with_reference_operations(model)(x), model(x))


def losses(make, ops, **changes):
    """The losses of the first 20 steps of the project's trainer.

    Without clipping the first steps are so long that they magnify rounding errors.
    """
    torch.manual_seed(0)
    model = make()
    if ops == "reference":
        model = with_reference_operations(model)
    params = runs.settings(epochs=4, learning_rate=0.002, clip_norm=2.0, **changes)
    run = runs.train(model, params, num_images=80)
    assert len(run.losses) == 20
    return run.losses


@pytest.mark.parametrize("collapse_fc1", ["auto", "off"])
@pytest.mark.parametrize(("dropout", "batch_norm"), [(0.0, "none"), (0.5, "none"), (0.0, "folded")])
def test_training_follows_the_library_step_by_step(collapse_fc1, dropout, batch_norm):
    def narrow():
        return runs.narrow(dropout=dropout)

    changes = {"collapse_fc1": collapse_fc1, "batch_norm": batch_norm}
    found = losses(narrow, "reference", **changes)
    expected = losses(narrow, "library", **changes)
    assert found == pytest.approx(expected, abs=1e-4)
    if not dropout:
        assert sum(found[-5:]) < 0.95 * sum(found[:5]), "it learns"


@pytest.mark.slow
def test_training_the_full_network_follows_the_library_step_by_step():
    found = losses(AlexNetCifar, "reference", collapse_fc1="off")
    assert found == pytest.approx(losses(AlexNetCifar, "library", collapse_fc1="off"), abs=1e-4)


def test_a_loop_with_the_reference_loss_and_step(digits):
    """Network, loss and step from the reference, against PyTorch's: the same losses and weights."""
    images, labels = digits[0][:320], digits[1][:320]
    x = images.permute(0, 3, 1, 2) / 255 - 0.5
    torch.manual_seed(0)
    model = runs.narrow()
    reference = runs.narrow()
    reference.load_state_dict(model.state_dict())
    reference = with_reference_operations(reference)
    optimizer = torch.optim.SGD(model.parameters(), 0.01, 0.9, nesterov=True, weight_decay=1e-3)
    velocities = [torch.zeros_like(weight) for weight in reference.parameters()]
    for step in range(20):
        rows = slice(16 * step, 16 * step + 16)
        expected = F.cross_entropy(model(x[rows]), labels[rows], label_smoothing=0.1)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()

        loss = CrossEntropy.apply(reference(x[rows]), labels[rows], 0.1).mean()
        gradients = torch.autograd.grad(loss, list(reference.parameters()))
        for weight, gradient, velocity in zip(
            reference.parameters(), gradients, velocities, strict=True
        ):
            nesterov_step(weight, gradient, velocity, 0.01, 0.9, 1e-3)
        assert loss.item() == pytest.approx(expected.item(), abs=1e-4)
    for one, other in zip(reference.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
