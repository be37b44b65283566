"""The windows of an image that a convolution or a pooling reads, place by place."""

import torch
from torch import Tensor


def num_places(side: int, kernel: int, stride: int) -> int:
    """The number of windows of K = `kernel` pixels on a side of W: floor((W - K) / stride) + 1."""
    return (side - kernel) // stride + 1


def unfold(x: Tensor, kernel: int, stride: int) -> Tensor:
    """(N, C, H, W) to its windows (N, C, K, K, H', W').

    [n, c, i, j, y, x] is pixel (i, j) of the window at place (y, x). Where the stride is smaller
    than the kernel, windows overlap and their common pixels are copied.
    """
    num_images, channels, height, width = x.shape
    high, wide = num_places(height, kernel, stride), num_places(width, kernel, stride)
    windows = x.new_empty(num_images, channels, kernel, kernel, high, wide)
    for i in range(kernel):
        for j in range(kernel):
            # Pixel (i, j) of all windows: every `stride`-th pixel, from (i, j) on.
            rows = slice(i, i + stride * high, stride)
            columns = slice(j, j + stride * wide, stride)
            windows[:, :, i, j] = x[:, :, rows, columns]  # (N, C, H', W')
    return windows


def fold(windows_gradient: Tensor, shape: torch.Size, stride: int) -> Tensor:
    """The backward of `unfold`: (N, C, K, K, H', W') to `shape`, (N, C, H, W).

    The gradient of a pixel that was copied into several windows is the sum of theirs.
    """
    _, _, kernel, _, high, wide = windows_gradient.shape
    x_gradient = windows_gradient.new_zeros(shape)
    for i in range(kernel):
        for j in range(kernel):
            rows = slice(i, i + stride * high, stride)
            columns = slice(j, j + stride * wide, stride)
            x_gradient[:, :, rows, columns] += windows_gradient[:, :, i, j]  # (N, C, H', W')
    return x_gradient


def pad(x: Tensor, padding: int, value: float) -> Tensor:
    """A frame of `padding` pixels around (N, C, H, W): (N, C, H + 2P, W + 2P)."""
    num_images, channels, height, width = x.shape
    shape = (num_images, channels, height + 2 * padding, width + 2 * padding)
    padded = x.new_full(shape, value)
    padded[:, :, padding : padding + height, padding : padding + width] = x
    return padded


def unpad(padded_gradient: Tensor, padding: int) -> Tensor:
    """The backward of `pad`: cuts off the frame, which is no part of the image."""
    height, width = padded_gradient.shape[2:]
    return padded_gradient[:, :, padding : height - padding, padding : width - padding]
