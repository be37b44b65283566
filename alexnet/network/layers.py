"""Two of PyTorch's layers with another forward; arguments, attributes and function are PyTorch's.

Their backward on a GPU is deterministic. PyTorch computes them with pools whose backward adds the
gradients of overlapping windows in any order, so that two runs differ in their last bits, and with
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
