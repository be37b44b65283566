"""The layers of our own, against PyTorch's: values, gradients, and a GPU's determinism."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from alexnet.network.layers import AdaptiveAvgPool2d, Conv2d, LocalResponseNorm, conv2d_by_blocks
from alexnet.network.model import VARIANTS
from alexnet.training.device import use_full_precision

FORMATS = [torch.contiguous_format, torch.channels_last]
PAIRS = {low: st.tuples(*[st.integers(low, high)] * 2) for low, high in [(0, 5), (1, 11)]}


def check_convolution_by_blocks(size, channels, kernel, stride, padding):
    x = torch.randn(2, channels, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, channels, *kernel, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)
    ours = conv2d_by_blocks(x, weight, bias, stride, padding)
    theirs = F.conv2d(x, weight, bias, stride, padding)
    torch.testing.assert_close(ours, theirs)
    gradient = torch.randn_like(theirs)
    for pair in zip(
        *(torch.autograd.grad(y, (x, weight, bias), gradient) for y in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(*pair)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_first_convolution_by_blocks(variant):
    layer, side = variant(num_classes=2).conv1, variant.image_size
    check_convolution_by_blocks((side,) * 2, 3, layer.kernel_size, layer.stride, layer.padding)


@settings(max_examples=60, deadline=None)
@given(
    more=PAIRS[0], channels=st.integers(1, 3), kernel=PAIRS[1], stride=PAIRS[1], padding=PAIRS[0]
)
def test_any_convolution_by_blocks(more, channels, kernel, stride, padding):
    """Also where the kernel, the image or the padding are no whole blocks."""
    size = [max(1, k - 2 * p) + m for k, p, m in zip(kernel, padding, more, strict=True)]
    check_convolution_by_blocks(size, channels, kernel, stride, padding)


@pytest.mark.parametrize(
    ("device", "arguments", "expected"),
    [
        ("cuda", {"stride": 4, "padding": 4}, True),
        ("cuda", {"stride": (1, 2), "padding": "valid"}, True),
        ("cpu", {"stride": 4, "padding": 4}, False),
        ("cuda", {"stride": 4, "in_channels": 8}, False),
        ("cuda", {"stride": 1}, False),
        ("cuda", {"padding": "same"}, False),
        ("cuda", {"stride": 2, "groups": 3}, False),
        ("cuda", {"stride": 2, "dilation": 2}, False),
        ("cuda", {"stride": 2, "padding": 1, "padding_mode": "reflect"}, False),
    ],
)
def test_blocks_are_for_a_gpu_and_few_channels(device, arguments, expected, monkeypatch):
    """On tensors without values, which need no GPU."""
    calls = []
    monkeypatch.setattr(
        "alexnet.network.layers.conv2d_by_blocks",
        lambda *tensors_and_windows: calls.append(1) or conv2d_by_blocks(*tensors_and_windows),
    )
    arguments = {
        "in_channels": 3,
        "out_channels": 6,
        "kernel_size": 5,
        "device": device,
    } | arguments
    with FakeTensorMode():
        x = torch.empty(2, arguments["in_channels"], 32, 32, device=device)
        shapes = [cls(**arguments)(x).shape for cls in (Conv2d, nn.Conv2d)]
    assert shapes[0] == shapes[1]
    assert bool(calls) is expected


@pytest.mark.gpu
@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_first_convolution_on_a_gpu_is_that_of_the_cpu(variant):
    use_full_precision()  # as every stage: by default cuDNN rounds to TF32, by 2e-3 here
    layer, side = variant(num_classes=2).conv1, variant.image_size
    x = torch.randn(4, 3, side, side)
    expected = layer(x)
    torch.testing.assert_close(layer.cuda()(x.cuda()).cpu(), expected, rtol=1e-4, atol=1e-4)


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
