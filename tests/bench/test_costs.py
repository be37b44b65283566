"""The counts of operations, and the peak that they are compared with."""

import pytest
import torch

from alexnet.training.device import DeviceConfig
from bench import costs

from .conftest import CPU


def test_the_collapsed_network_computes_less_in_fc1_alone(metadata):
    full = costs.network_flops(metadata, collapsed=False)
    collapsed = costs.network_flops(metadata, collapsed=True)
    assert full - collapsed == 3 * 2 * (9216 - 256) * 4096


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dtype", "operations"),
    [
        # Five times X X^T, its square, and both times X.
        (torch.bfloat16, lambda rows, columns: 5 * (4 * rows**2 * columns + 2 * rows**3)),
        # Twice X X^T and a product with X; the squares of five polynomials, and three times both
        # products of the next G and that of two polynomials.
        (torch.float32, lambda rows, columns: 8 * rows**2 * columns + (5 + 3 * 3) * 2 * rows**3),
    ],
)
def test_the_optimizers_operations_are_muons_five_iterations(metadata, params, dtype, operations):
    shapes = [(96, 363), (256, 2400), (384, 2304), (384, 3456), (256, 3456), (256, 4096)]
    assert params.train.muon_lr
    expected = sum(operations(*shape) for shape in shapes)
    assert costs.optimizer_flops(metadata, params.train, dtype) == expected
    plain = params.train.model_copy(update={"muon_lr": None})
    assert costs.optimizer_flops(metadata, plain, dtype) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_the_computed_operations_are_a_share_of_the_peak(metadata, params):
    found = costs.costs(metadata, params.train, DeviceConfig(CPU, torch.float32))
    assert found["tutorial"].flops_per_step_of_optimizer == 0
    figures = found["ours"].at(images_per_second=100, batch_size=10)
    per_step = found["ours"].flops_per_image_done * 10 + figures["flops_per_step_of_optimizer"]
    assert figures["flops_per_second_done"] == pytest.approx(per_step * 10)
    share = figures["flops_per_second_done"] / figures["peak_flops_per_second"]
    assert figures["share_of_peak"] == pytest.approx(share)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_peak_is_measured(dtype):
    assert costs.product_peak(CPU, dtype) > 1e6
