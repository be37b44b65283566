"""PyTorch's convolution, computed in another way where its kernels are slow.

By blocks (`conv2d_by_blocks`): of few channels with a stride, on a GPU. By taps (`conv2d_by_taps`):
the gradient of the weights where the maps are small, on a CPU. A tap is one of the K x L positions
of a kernel.
"""

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class Conv2d(nn.Conv2d):
    """Arguments, attributes and function are PyTorch's, to rounding.

    For 3 channels cuDNN takes a kernel that does not use the GPU's matrix units. On an H200 (cuDNN
    9.19, bfloat16, 512 images of 32x32) 11x11 kernels with a stride of 4 take 941 us forward and 89
    us for the gradient of the weights; on blocks of 4x4 pixels, as 3x3 kernels of 48 channels, 24
    and 33 us.

    3x3 kernels on 3x3 maps have 32 of their 81 taps on the padding. oneDNN's gradient of the
    weights takes 2.4 times as long as one without them (float32, 512 images, 384 channels, 2 cores
    of an AMD EPYC without AVX512).
    """

    most_channels = 7  # fewer than the 16 bytes that cuDNN's better kernels load at a time
    most_taps = 2 / 3  # as a share; conv2's 5x5 kernels on 8x8 maps have 72 % of theirs inside

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What `forward` calls."""
        padding = (0, 0) if self.padding == "valid" else self.padding
        is_plain = (self.groups, self.dilation, self.padding_mode) == (1, (1, 1), "zeros")
        if is_plain and x.dim() == 4 and not isinstance(padding, str):
            if self._takes_blocks(x):
                return conv2d_by_blocks(x, weight, bias, self.stride, padding)
            if self._takes_taps(x, weight, padding):
                return conv2d_by_taps(x, weight, bias, padding)
        return super()._conv_forward(x, weight, bias)

    def _takes_blocks(self, x: Tensor) -> bool:
        return x.is_cuda and self.in_channels <= self.most_channels and max(self.stride) > 1

    def _takes_taps(self, x: Tensor, weight: Tensor, padding: tuple[int, ...]) -> bool:
        needs_gradient = torch.is_grad_enabled() and weight.requires_grad
        if not (x.is_cpu and needs_gradient and self.stride == (1, 1)):
            return False
        share = 1.0
        for length, kernel, pad in zip(x.shape[2:], self.kernel_size, padding, strict=True):
            inside = sum(number for *_, number in taps_inside(length, kernel, pad))
            share *= inside / (kernel * num_positions(length, kernel, pad))
        return share <= self.most_taps


def conv2d_by_blocks(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
) -> Tensor:
    """F.conv2d as a convolution of stride 1, in which a block of stride x stride pixels is one.

    (N, C, H, W) by (M, C, K, L) to (N, M, ...). Zeros behind the kernel make it whole blocks; the
    image gets its padding, and ends with the last window.
    """
    kernel, size = weight.shape[2:], x.shape[2:]
    added, end = [], []  # behind the kernel and the image, by dimension
    for k, length, step, pad in zip(kernel, size, stride, padding, strict=True):
        added.append(-k % step)
        last_window = (length + 2 * pad - k) // step * step - pad  # its first pixel
        end.append(last_window + k + added[-1] - length)  # negative: no window reads these pixels
    x = F.pad(x, (padding[1], end[1], padding[0], end[0]))
    weight = F.pad(weight, (0, added[1], 0, added[0]))
    return F.conv2d(_blocks_as_channels(x, stride), _blocks_as_channels(weight, stride), bias)


def _blocks_as_channels(x: Tensor, block: tuple[int, ...]) -> Tensor:
    """(N, C, H, W) to (N, block height * block width * C, H / block height, W / block width).

    In the channels_last format, so that neither cuDNN nor the compiler's code copies it again.
    """
    rows, columns = block
    x = x.permute(0, 2, 3, 1).unflatten(1, (-1, rows)).unflatten(3, (-1, columns))
    return x.transpose(2, 3).flatten(3).permute(0, 3, 1, 2)


def num_positions(length: int, kernel: int, padding: int) -> int:
    """Of a kernel that moves along one side of an image with a stride of 1."""
    return length + 2 * padding - kernel + 1


def taps_inside(length: int, kernel: int, padding: int) -> list[tuple[int, int, int]]:
    """Where each tap along one side of a kernel reads the image, and not its padding.

    (first position of the kernel, first pixel that is read, number of both).
    """
    inside = []
    for tap in range(kernel):
        first = max(0, padding - tap)
        end = min(length + padding - tap, num_positions(length, kernel, padding))
        inside.append((first, first + tap - padding, max(0, end - first)))
    return inside


def conv2d_by_taps(
    x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, ...]
) -> Tensor:
    """F.conv2d of stride 1, whose weights get their gradient by `weight_gradient_by_taps`."""
    tensors = [x, weight, bias]
    if torch.is_autocast_enabled("cpu"):  # it casts what PyTorch's own operations get, and no other
        dtype = torch.get_autocast_dtype("cpu")
        tensors = [tensor if tensor is None else tensor.to(dtype) for tensor in tensors]
    return _Conv2dByTaps.apply(*tensors, padding)


class _Conv2dByTaps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: tuple[int, ...]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.padding = padding
        return F.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            window = (1, 1), ctx.padding, (1, 1), False, (0, 0), 1
            of_x, *_ = torch.ops.aten.convolution_backward(
                gradient, x, weight, None, *window, (True, False, False)
            )
        if ctx.needs_input_grad[1]:
            of_weight = weight_gradient_by_taps(x, weight, gradient, ctx.padding)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_x, of_weight, of_bias, None


def weight_gradient_by_taps(
    x: Tensor, weight: Tensor, gradient: Tensor, padding: tuple[int, ...]
) -> Tensor:
    """The gradient of the weights: for each tap one product, of the pixels that it reads.

    x: (N, C, H, W); weight: (M, C, K, L); gradient, of the output: (N, M, ...).
    """
    pixels, outputs = x.permute(0, 2, 3, 1), gradient.permute(0, 2, 3, 1)
    of_taps = x.new_empty(*weight.shape[2:], *weight.shape[:2])  # (K, L, M, C)
    rows, columns = (
        taps_inside(*side) for side in zip(x.shape[2:], weight.shape[2:], padding, strict=True)
    )
    for result, (row, column) in zip(
        of_taps.flatten(0, 1), itertools.product(rows, columns), strict=True
    ):
        (top, first_row, height), (left, first_column, width) = row, column
        read = pixels[:, first_row : first_row + height, first_column : first_column + width]
        written = outputs[:, top : top + height, left : left + width]
        torch.mm(written.flatten(0, 2).T, read.flatten(0, 2), out=result)
    return torch.empty_like(weight).copy_(of_taps.permute(2, 3, 0, 1))
