"""From stored images to the network's input, and back.

Images are stored as uint8 (N, H, W, C). The network takes float (N, C, H, W), normalised
by the mean and standard deviation of the training pixels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def normalise(
    images: Tensor, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor
) -> Tensor:
    """uint8 (N, H, W, C) to float (N, C, H, W) of mean 0 and deviation 1 per channel.

    mean, std: of pixel / 255, per channel. The result is a view in channels-last
    order, in which convolutions run fastest; no value is moved.
    """
    shift = torch.as_tensor(mean, device=images.device) * 255
    scale = torch.as_tensor(std, device=images.device) * 255
    return ((images.float() - shift) / scale).permute(0, 3, 1, 2)


def denormalise(x: Tensor, mean: Sequence[float] | Tensor, std: Sequence[float] | Tensor) -> Tensor:
    """Float (N, C, H, W) back to pixels: uint8 (N, H, W, C), rounded and clamped to 0..255.

    mean, std: of pixel / 255, per channel.
    """
    shift = torch.as_tensor(mean, device=x.device)
    scale = torch.as_tensor(std, device=x.device)
    pixels = (x.permute(0, 2, 3, 1) * scale + shift) * 255
    return pixels.round().clamp(0, 255).to(torch.uint8)


def centre_crop(images: Tensor, size: int) -> Tensor:
    """The middle `size` x `size` pixels of images (N, H, W, C): a view."""
    top, left = (images.shape[1] - size) // 2, (images.shape[2] - size) // 2
    return images[:, top : top + size, left : left + size]
