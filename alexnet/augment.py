"""From stored images to the network's input: augmentation, then normalisation.

Both work on a whole batch where it lies, so nothing is copied image by image.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def crop_and_flip(images: Tensor, padding: int, flip: bool) -> Tensor:
    """Shift each image by up to `padding` pixels and mirror every second one, at random.

    images: uint8 (N, H, W, C); the result has the same shape. A shifted image is
    filled at its border with its own mirrored pixels, as a crop from an image with
    reflected padding would be. Draws from the device's default generator.

    Crop and flip are one gather: for each image the rows and columns to read.
    """
    n, height, width, _ = images.shape
    device = images.device
    rows = torch.arange(height, device=device).expand(n, height)
    columns = torch.arange(width, device=device).expand(n, width)
    if padding:
        rows = _reflect(rows + _shifts(n, padding, device), height)
        columns = _reflect(columns + _shifts(n, padding, device), width)
    if flip:
        mirrored = torch.rand(n, 1, device=device) < 0.5
        columns = torch.where(mirrored, width - 1 - columns, columns)
    index = torch.arange(n, device=device)[:, None, None]
    return images[index, rows[:, :, None], columns[:, None, :]]


def _shifts(n: int, padding: int, device: torch.device) -> Tensor:
    """One whole number from -padding to padding for each image: (N, 1)."""
    return torch.randint(-padding, padding + 1, (n, 1), device=device)


def _reflect(position: Tensor, size: int) -> Tensor:
    """Positions beyond either edge, mirrored back inside: -1 -> 1, size -> size - 2."""
    last = size - 1
    return last - (last - position.abs()).abs()


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 (N, H, W, C) to float (N, C, H, W) of mean 0 and deviation 1 per channel.

    mean, std: of pixel / 255, per channel. The result is a view in channels-last
    order, which is how convolutions run fastest; no value is moved.
    """
    scale = torch.tensor(std, device=images.device) * 255
    shift = torch.tensor(mean, device=images.device) * 255
    return ((images.float() - shift) / scale).permute(0, 3, 1, 2)
