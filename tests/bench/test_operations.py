"""Operations are counted, not guessed."""

import pytest
import torch

from alexnet.training.device import DeviceConfig
from bench import operations

from .conftest import CPU

pytestmark = pytest.mark.usefixtures("here")


def test_the_network_as_written_and_without_the_copies(metadata):
    as_written = operations.network_flops(metadata, folded=False)
    without = operations.network_flops(metadata, folded=True)
    fc1_inputs = 9216 - 256
    assert as_written - without == 3 * 2 * fc1_inputs * 4096


def test_the_optimizers_products_are_those_of_its_five_rounds(metadata, params):
    """(rows, columns), rows the smaller: X X^T, its square, and both times X."""
    shapes = [(96, 363), (256, 2400), (384, 2304), (384, 3456), (256, 3456), (256, 4096)]
    expected = sum(5 * (4 * rows**2 * columns + 2 * rows**3) for rows, columns in shapes)
    assert params.train.muon_lr
    assert operations.optimizer_flops(metadata, params.train) == expected
    plain = params.train.model_copy(update={"muon_lr": None})
    assert operations.optimizer_flops(metadata, plain) == 0


def test_what_was_done_is_a_share_of_what_could_be(metadata, params):
    work = operations.work(metadata, params.train, DeviceConfig(CPU, torch.float32))
    assert work["tutorial"].flops_per_step_of_optimizer == 0
    figures = work["ours"].at(images_per_second=100, batch_size=10)
    per_step = work["ours"].flops_per_image_done * 10 + figures["flops_per_step_of_optimizer"]
    assert figures["flops_per_second_done"] == pytest.approx(per_step * 10)
    share = figures["flops_per_second_done"] / figures["peak_flops_per_second"]
    assert figures["share_of_peak"] == pytest.approx(share)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_peak_is_measured(precision):
    assert operations.product_peak(CPU, precision) > 1e6
