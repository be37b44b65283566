"""The layers of our own, against PyTorch's: values and gradients."""

import pytest
import torch
from torch import nn

from alexnet.network.layers import AdaptiveAvgPool2d, LocalResponseNorm

FORMATS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize(
    ("height", "width", "exact"),
    [(1, 1, True), (6, 6, True), (3, 2, True), (6, 1, True), (4, 4, False), (7, 13, False)],
)
def test_average_pool(height, width, exact, memory_format):
    """Bit for bit where each window has one value; elsewhere sums of up to 9 round differently."""
    torch.manual_seed(0)
    x = torch.randn(2, 5, height, width).contiguous(memory_format=memory_format)
    ours, theirs = AdaptiveAvgPool2d((6, 6)), nn.AdaptiveAvgPool2d((6, 6))
    tolerance = {"rtol": 0, "atol": 0 if exact else 5e-7}
    torch.testing.assert_close(ours(x), theirs(x), **tolerance)
    torch.testing.assert_close(ours(x[0]), theirs(x[0]), **tolerance)
    x = x.double().requires_grad_()
    weights = torch.randn(2, 5, 6, 6).double()
    gradients = [torch.autograd.grad((f(x) * weights).sum(), x)[0] for f in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("size", [3, (2, 5), (None, 2)])
def test_average_pool_to_other_sizes(size):
    """As `output_size` may be given."""
    for side in (1, 4):
        x = torch.randn(1, 2, side, side, dtype=torch.float64)
        torch.testing.assert_close(AdaptiveAvgPool2d(size)(x), nn.AdaptiveAvgPool2d(size)(x))


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("size", [1, 4, 5])
def test_local_response_norm(size, memory_format):
    """Bit for bit; also where the window is larger than the number of channels."""
    torch.manual_seed(0)
    ours, theirs = (
        norm(size, 0.5, 0.75, 2.0) for norm in (LocalResponseNorm, nn.LocalResponseNorm)
    )
    for channels in (3, 9):
        x = torch.randn(2, channels, 5, 4).contiguous(memory_format=memory_format)
        assert torch.equal(ours(x), theirs(x))
        assert ours(x).is_contiguous(memory_format=memory_format)
        x = x.double().requires_grad_()
        weights = torch.randn_like(x)
        gradients = [torch.autograd.grad((f(x) * weights).sum(), x)[0] for f in (ours, theirs)]
        torch.testing.assert_close(*gradients)


def test_local_response_norm_of_a_short_type_is_rounded_once():
    """With an eighth of float32's digits each square and sum would lose some."""
    torch.manual_seed(0)
    x = (100 * torch.randn(2, 16, 3, 3)).bfloat16()
    norm = LocalResponseNorm(5, 5e-4, 0.75, 2.0)
    assert torch.equal(norm(x), norm(x.float()).bfloat16())
