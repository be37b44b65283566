"""Convolutions in other ways than PyTorch's, against PyTorch's: values, gradients, when."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from alexnet.network.convolution import Conv2d, conv2d_by_blocks, conv2d_by_taps
from alexnet.network.model import VARIANTS
from alexnet.training.device import use_full_precision

PAIRS = {low: st.tuples(*[st.integers(low, high)] * 2) for low, high in [(0, 5), (1, 11)]}


def check_convolution(convolve, size, channels, kernel, *window):
    x = torch.randn(2, channels, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, channels, *kernel, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)
    ours = convolve(x, weight, bias, *window)
    theirs = F.conv2d(x, weight, bias, *window)
    torch.testing.assert_close(ours, theirs)
    gradient = torch.randn_like(theirs)
    for pair in zip(
        *(torch.autograd.grad(y, (x, weight, bias), gradient) for y in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(*pair)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_first_convolution_by_blocks(variant):
    layer, side = variant(num_classes=2).conv1, variant.image_size
    check_convolution(
        conv2d_by_blocks, (side,) * 2, 3, layer.kernel_size, layer.stride, layer.padding
    )


@settings(max_examples=60, deadline=None)
@given(
    more=PAIRS[0], channels=st.integers(1, 3), kernel=PAIRS[1], stride=PAIRS[1], padding=PAIRS[0]
)
def test_any_convolution_by_blocks(more, channels, kernel, stride, padding):
    """Also where the kernel, the image or the padding are no whole blocks."""
    size = [max(1, k - 2 * p) + m for k, p, m in zip(kernel, padding, more, strict=True)]
    check_convolution(conv2d_by_blocks, size, channels, kernel, stride, padding)


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
        "alexnet.network.convolution.conv2d_by_blocks",
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


@settings(max_examples=60, deadline=None)
@given(more=PAIRS[0], channels=st.integers(1, 3), kernel=PAIRS[1], padding=PAIRS[0])
def test_any_convolution_by_taps(more, channels, kernel, padding):
    """Also where a tap never reads the image, and where the padding is wider than the kernel."""
    size = [max(1, k - 2 * p) + m for k, p, m in zip(kernel, padding, more, strict=True)]
    check_convolution(
        lambda x, weight, bias, _, padding: conv2d_by_taps(x, weight, bias, padding),
        size,
        channels,
        kernel,
        1,
        padding,
    )


@pytest.mark.parametrize(
    ("kernel", "size", "arguments", "expected"),
    [
        (3, 3, {"padding": 1}, True),  # conv3 to conv5 of `cifar`
        (5, 8, {"padding": 2}, False),  # its conv2
        (3, 13, {"padding": 1}, False),  # conv3 of `imagenet-2012`
        (3, 3, {}, False),
        (3, 3, {"padding": 1, "device": "cuda"}, False),
        (3, 3, {"padding": 1, "stride": 2}, False),
        (3, 3, {"padding": 1, "groups": 2}, False),
    ],
)
def test_taps_are_for_small_maps_on_a_cpu(kernel, size, arguments, expected, monkeypatch):
    """On tensors without values; and for a gradient alone."""
    calls = []
    monkeypatch.setattr(
        "alexnet.network.convolution.conv2d_by_taps",
        lambda *tensors_and_padding: calls.append(1) or conv2d_by_taps(*tensors_and_padding),
    )
    with FakeTensorMode():
        layer = Conv2d(4, 6, kernel, **arguments)
        x = torch.empty(2, 4, size, size, device=arguments.get("device"))
        layer(x)
        assert bool(calls) is expected
        with torch.no_grad():
            layer(x)
    assert len(calls) == expected


def test_gradients_by_taps_in_bfloat16():
    """Those of float32 to bfloat16's 8 bits, in float32, whose weights are the parameters."""
    torch.manual_seed(0)
    layer, theirs = Conv2d(16, 24, 3, padding=1), nn.Conv2d(16, 24, 3, padding=1)
    theirs.load_state_dict(layer.state_dict())
    x = torch.randn(32, 16, 3, 3)
    expected = torch.autograd.grad(theirs(x).square().sum(), [*theirs.parameters()])
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    assert y.dtype == torch.bfloat16
    found = torch.autograd.grad(y.float().square().sum(), [*layer.parameters()])
    for ours, its in zip(found, expected, strict=True):
        assert (ours - its).norm() / its.norm() < 0.01
        assert ours.dtype == torch.float32
