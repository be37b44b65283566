"""Pooling: one value for each window, channel by channel."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from alexnet.network.reference.windows import fold, pad, unfold, unpad


class MaxPool(Function):
    """The largest value of each window (the paper's section 3.4: K = 3, stride 2, overlapping)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
        padded = pad(x, padding, value=-math.inf)  # (N, C, H+2P, W+2P): never the maximum
        windows = unfold(padded, kernel, stride)  #  (N, C, K, K, H', W')
        values = windows.flatten(2, 3)  #            (N, C, KK, H', W')
        y, winner = values.max(dim=2)  #             (N, C, H', W') each; of equals, the first
        ctx.save_for_backward(winner)
        ctx.sizes = padded.shape, kernel, stride, padding
        return y

    @staticmethod
    def backward(ctx: Any, y_gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (winner,) = ctx.saved_tensors
        padded_shape, kernel, stride, padding = ctx.sizes
        # dy/dx is 1 for the maximum of the window, 0 for the others.
        place = torch.arange(kernel * kernel, device=winner.device)[:, None, None]  # (KK, 1, 1)
        wins = winner[:, :, None] == place  #        (N, C, KK, H', W')
        values_gradient = y_gradient[:, :, None] * wins  # (N, C, KK, H', W')
        windows_gradient = values_gradient.unflatten(2, (kernel, kernel))  # (N, C, K, K, H', W')
        padded_gradient = fold(windows_gradient, padded_shape, stride)  #    (N, C, H+2P, W+2P)
        return unpad(padded_gradient, padding), None, None, None


class AdaptiveAveragePool(Function):
    """The mean of each of `size` x `size` windows, which cover an image of any size.

    Along one side this is a product with a matrix of shares: y = A_h x A_w^T.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int) -> Tensor:
        down = shares(size, x.shape[2], x)  #   A_h (size, H)
        across = shares(size, x.shape[3], x)  # A_w (size, W)
        ctx.save_for_backward(down, across)
        return down @ x @ across.T  # (size, H) (N, C, H, W) (W, size) = (N, C, size, size)

    @staticmethod
    def backward(ctx: Any, y_gradient: Tensor) -> tuple[Tensor, None]:
        down, across = ctx.saved_tensors
        # dy/dx is each pixel's share in each mean: the transposed matrices.
        return down.T @ y_gradient @ across, None  # (N, C, H, W)


def shares(size: int, side: int, like: Tensor) -> Tensor:
    """The matrix (size, side) whose row i has each pixel's share in the mean of window i.

    Window i goes from floor(i side / size) to ceil((i + 1) side / size): where the side is no
    multiple of the size they overlap, and where it is smaller they share pixels. From one
    pixel, each of 6 windows is a copy of it.
    """
    matrix = like.new_zeros(size, side)
    for i in range(size):
        start, end = i * side // size, math.ceil((i + 1) * side / size)
        matrix[i, start:end] = 1 / (end - start)
    return matrix
