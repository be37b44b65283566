"""Muon's orthogonalisation and step, against the singular value decomposition."""

import numpy as np
import pytest
import torch

from alexnet.training import optimizer
from alexnet.training.muon import Muon, group_by_size, orthogonalise
from tests.runs import narrow, settings

SHAPES = [(48, 48), (32, 150)]


def matrix_of(singular, rows, columns):
    """(matrix, U, V^T): a matrix with these singular values and random directions."""
    generator = np.random.default_rng(0)
    u, _ = np.linalg.qr(generator.normal(size=(rows, len(singular))))
    v, _ = np.linalg.qr(generator.normal(size=(columns, len(singular))))
    return torch.from_numpy((u * singular) @ v.T), u, v.T


def by_svd(matrix):
    """The iteration on the singular values of a matrix: s <- a s + b s^3 + c s^5, five times."""
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.linalg.norm(s)
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return (u * s) @ vt


def muon_of(parameter, dtype, copies=1, **options):
    group = {"params": [parameter], "use_muon": True, "num_copies": [copies]}
    return Muon([group], dtype=dtype, momentum=0.9, lr=0.1, **options)


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_become_about_1_and_directions_stay(shape):
    """U S V^T becomes U D V^T with D near 1, for values that differ by a factor of 100."""
    matrix, u, vt = matrix_of(np.geomspace(1, 0.01, min(shape)), *shape)
    result = orthogonalise(matrix[None])[0].numpy()
    assert result.shape == shape
    found = np.linalg.svd(result, compute_uv=False)
    assert found.min() > 0.65
    assert found.max() < 1.25
    inner = u.T @ result @ vt.T  # diagonal, where the directions are the same
    assert np.abs(inner - np.diag(np.diag(inner))).max() < 1e-12
    assert np.diag(inner) == pytest.approx(1, abs=0.35)


@pytest.mark.parametrize(("dtype", "error"), [(torch.float64, 1e-8), (torch.float32, 1e-5)])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_singular_value_is_mapped_on_its_own(shape, dtype, error):
    """Also the smallest, so that rounding in a gradient does not grow into another step."""
    matrix, _, _ = matrix_of(np.geomspace(5, 1e-4, min(shape)), *shape)
    found = orthogonalise(matrix[None].to(dtype))[0].numpy()
    np.testing.assert_allclose(found, by_svd(matrix.numpy()), rtol=0, atol=error)


def test_bfloat16_is_precise_enough():
    matrix, u, vt = matrix_of(np.geomspace(1, 0.02, 32), 32, 150)
    (result,) = orthogonalise(matrix.bfloat16()[None])
    assert result.dtype == torch.bfloat16
    inner = u.T @ result.double().numpy() @ vt.T
    assert np.diag(inner) == pytest.approx(1, abs=0.4)
    assert np.abs(inner - np.diag(np.diag(inner))).max() < 0.1


def test_a_gradient_of_zeros_gives_no_update():
    assert torch.equal(orthogonalise(torch.zeros(1, 4, 6)), torch.zeros(1, 4, 6))


def test_matrices_of_similar_size_share_a_padded_batch():
    """The layers of the default network; on a CPU, none is padded."""
    sizes = [(96, 363), (256, 2400), (384, 2304), (384, 3456), (256, 3456), (4096, 256)]
    assert group_by_size(sizes) == [[0], [1], [4], [2], [3], [5]]
    assert group_by_size(sizes, max_groups=1) == [[0, 1, 4, 2, 3], [5]], "a tall one is apart"
    assert group_by_size(sizes, max_groups=2) == [[0, 1, 4], [2, 3], [5]]
    # The 9216 columns of an fc1 that is not collapsed would fill up all the others.
    as_written = [*sizes[:5], (4096, 9216)]
    assert group_by_size(as_written, max_groups=2) == [[0, 1, 4, 2, 3], [5]]
    for max_groups in (None, 2):
        assert group_by_size([(8, 16), (8, 16)], max_groups) == [[0, 1]], "nothing to fill up"
        assert group_by_size([], max_groups) == []


def test_padded_steps_equal_those_of_each_layer_alone():
    """A kernel, a wide and two tall matrices, in channels-last order, over three steps."""
    shapes = [(16, 4, 3, 3), (24, 40), (64, 16), (30, 20)]
    found = {}
    for max_groups in (None, 1):
        generator = torch.Generator().manual_seed(7)
        layers = [torch.nn.Parameter(torch.zeros(shape, dtype=torch.float64)) for shape in shapes]
        layers[0].data = layers[0].data.contiguous(memory_format=torch.channels_last)
        groups = [{"params": layers, "use_muon": True, "num_copies": [1, 1, 1, 1]}]
        steps = Muon(groups, dtype=torch.float64, max_groups=max_groups, momentum=0.9, lr=0.1)
        assert len(steps.batches) == (2 if max_groups else 4)
        for _ in range(3):
            for layer in layers:
                gradient = torch.randn(layer.shape, generator=generator, dtype=torch.float64)
                layer.grad = torch.empty_like(layer).copy_(gradient)  # in the order of the weight
            steps.step()
        found[max_groups] = layers
    for alone, padded in zip(found[None], found[1], strict=True):
        torch.testing.assert_close(padded, alone, rtol=0, atol=1e-12)
        assert alone.abs().max() > 0.01


@pytest.mark.parametrize(
    ("shape", "copies", "scale"),
    [
        ((64, 16), 1, 2.0),  # tall: sqrt(64 / 16)
        ((64, 144), 9, 2.0),  # 144 columns on 9 copies of 16 values
        ((16, 64), 1, 1.0),  # wide: as it is
        ((16, 4, 2, 8), 1, 1.0),  # a kernel: 16 x 64
    ],
)
def test_three_steps_by_hand(shape, copies, scale):
    """m <- 0.9 m + g; the step is the orthogonal part of g + 0.9 m, times scale and rate."""
    generator = torch.Generator().manual_seed(3)
    parameter = torch.nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
    steps = muon_of(parameter, torch.float64, copies)
    weight, momentum = parameter.detach().numpy().copy(), np.zeros(shape)
    for _ in range(3):
        gradient = torch.randn(shape, generator=generator, dtype=torch.float64)
        parameter.grad = gradient.clone()
        steps.step()
        momentum = 0.9 * momentum + gradient.numpy()
        ahead = (gradient.numpy() + 0.9 * momentum).reshape(shape[0], -1)
        weight -= 0.1 * scale * by_svd(ahead).reshape(shape)
        np.testing.assert_allclose(parameter.detach().numpy(), weight, atol=1e-7)


@pytest.mark.parametrize("shape", [(48, 48), (96, 24), (24, 96)])
def test_on_a_matrix_the_steps_equal_those_of_pytorchs_muon(shape):
    """PyTorch's is for matrices only. It averages the gradients, which is a constant factor."""
    generator = torch.Generator().manual_seed(5)
    start = torch.randn(shape, generator=generator)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    steps = muon_of(ours, torch.bfloat16, weight_decay=0.02)
    reference = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.02, momentum=0.9)
    for _ in range(5):
        ours.grad = torch.randn(shape, generator=generator)
        theirs.grad = ours.grad.clone()
        steps.step()
        reference.step()
    moved, difference = (theirs - start).norm(), (ours - theirs).norm()
    assert difference < 0.04 * moved, "bfloat16 rounds the two in another order"


@pytest.mark.parametrize("num_copies", [36, 4, 1])  # at 32, 64 and 224 pixels
def test_muon_updates_the_convolutions_and_a_small_fc1_and_sgd_all_else(num_copies):
    model = narrow()
    params = settings(muon_lr=0.02, muon_weight_decay=0.1, learning_rate=0.3, weight_decay=0.01)
    steps = optimizer.build_optimizer(model, num_copies, params, torch.float32)
    optimizer.set_learning_rate(steps, 0, 10, params)
    by_muon, by_sgd = set(), set()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in steps.param_groups:
        found = {names[id(parameter)] for parameter in group["params"]}
        if group["use_muon"]:
            by_muon |= found
            assert (group["lr"], group["weight_decay"]) == (0.02, 0.1)
        else:
            by_sgd |= found
            rate = 0.3 / num_copies if "fc1.weight" in found else 0.3
            assert (group["lr"], group["weight_decay"]) == (rate, 0.01)
    convolutions = {f"conv{number}.weight" for number in range(1, 6)}
    # At 224 pixels the products of fc1's matrix take 25 s a step on two cores.
    assert by_muon == convolutions | ({"fc1.weight"} if num_copies == 36 else set())
    assert by_sgd == set(names.values()) - by_muon


def test_one_step_of_muon_and_sgd():
    model = narrow()
    params = settings(muon_lr=0.02, momentum=0.9, nesterov=True)
    steps = optimizer.build_optimizer(model, 36, params, torch.float32)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.01)
    steps.step()
    changes = before["fc2.weight"] - model.fc2.weight.detach()
    torch.testing.assert_close(changes, torch.full_like(changes, 0.05 * 1.9 * 0.01))
    # All entries equal: one singular value, which is 1 after the step's division by |G|.
    kernel = (before["conv3.weight"] - model.conv3.weight.detach()).flatten(1)
    assert torch.linalg.matrix_norm(kernel, 2).item() == pytest.approx(0.05, rel=0.35)


def test_muons_weight_decay_is_the_rate_times_the_decay():
    """Whatever the gradient: two runs differ by the decay of the weights alone."""
    models = narrow(), narrow()
    models[1].load_state_dict(models[0].state_dict())
    before = models[0].conv3.weight.detach().clone()
    for model, decay in zip(models, (0.0, 0.1), strict=True):
        params = settings(muon_lr=0.02, muon_weight_decay=decay)
        steps = optimizer.build_optimizer(model, 36, params, torch.float32)
        optimizer.set_learning_rate(steps, 0, 10, params)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        steps.step()
    shrunk = models[0].conv3.weight - models[1].conv3.weight
    torch.testing.assert_close(shrunk.detach(), before * (0.02 * 0.1), rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(models[0].fc2.weight, models[1].fc2.weight, rtol=0, atol=0)
