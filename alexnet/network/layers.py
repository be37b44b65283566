"""Three of PyTorch's layers with another forward; arguments, attributes and function are PyTorch's.

`Conv2d` is faster on a GPU where it takes images. The other two have a deterministic backward
there: PyTorch computes them with pools whose backward adds the gradients of overlapping windows
in any order, so that two runs differ in their last bits, and with
`torch.use_deterministic_algorithms` the pools raise. Sums of slices have a backward of one order.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """The mean of each of `output_size` windows, which cover maps of any size.

    Bit for bit PyTorch's where a window has one value, so wherever maps are enlarged by a
    whole factor (1x1 to 6x6) or keep their size. Elsewhere a window's sum is taken in another
    order, first along its columns: float32 values then differ in the last bits.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, *output_size)."""
        size: Any = self.output_size
        height, width = (size, size) if isinstance(size, int) else size
        if x.shape[-2:] == (1, 1):
            return x.expand(*[-1] * (x.dim() - 2), height or 1, width or 1)
        return _mean_of_windows(_mean_of_windows(x, -2, height), -1, width)


def _mean_of_windows(x: Tensor, dim: int, size: int | None) -> Tensor:
    """The means of `size` windows along `dim`; window i is from i / size to (i + 1) / size of it.

    None stands for the length of `dim`. A window's ends are rounded outwards, so neighbours may
    share a value.
    """
    length = x.shape[dim]
    if size is None or size == length:
        return x
    ends = [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]
    return torch.stack([x.narrow(dim, a, b - a).mean(dim) for a, b in ends], dim)


class LocalResponseNorm(nn.LocalResponseNorm):
    """x[i] / (k + alpha / n * (sum of x[j]^2 over the n channels j around i)) ^ beta.

    Bit for bit PyTorch's in float32 on a CPU: the sum is taken in the same order. In shorter
    types the sum and the power are computed in float32, as a pool computes its sum.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to the same shape and type."""
        channels = x.shape[1]
        full = x.to(torch.promote_types(x.dtype, torch.float32))
        beyond = (0, 0) * (x.dim() - 2) + (self.size // 2, (self.size - 1) // 2)
        squares = F.pad(full * full, beyond)  # channels that do not exist count as 0
        total = squares.narrow(1, 0, channels)
        for shift in range(1, self.size):
            total = total + squares.narrow(1, shift, channels)
        return (full / (total / self.size * self.alpha + self.k) ** self.beta).to(x.dtype)


class Conv2d(nn.Conv2d):
    """On a GPU, a convolution of few channels with a stride is computed on blocks of pixels.

    For 3 channels cuDNN takes a kernel that does not use the GPU's matrix units. On an H200
    (cuDNN 9.19, bfloat16, 512 images of 32x32) 11x11 kernels with a stride of 4 take 941 us forward
    and 89 us for the weights' gradient; on blocks of 4x4 pixels, as 3x3 kernels of 48 channels, 24
    and 33 us. Everywhere else this is PyTorch's forward itself.
    """

    most_channels = 7  # fewer than the 16 bytes that those kernels load at a time

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """What `forward` calls."""
        padding = (0, 0) if self.padding == "valid" else self.padding
        if isinstance(padding, str) or not self._takes_blocks(x):
            return super()._conv_forward(x, weight, bias)
        return conv2d_by_blocks(x, weight, bias, self.stride, padding)

    def _takes_blocks(self, x: Tensor) -> bool:
        is_plain = (self.groups, self.dilation, self.padding_mode) == (1, (1, 1), "zeros")
        is_strided = self.in_channels <= self.most_channels and max(self.stride) > 1
        return x.is_cuda and x.dim() == 4 and is_strided and is_plain


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
