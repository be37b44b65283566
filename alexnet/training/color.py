"""The augmentations that change the colours of an image."""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from alexnet import config
from alexnet.training.transforms import PixelTransform, TrainingImages, percent, symmetric


class ColorJitter(PixelTransform):
    """Change each image's contrast, saturation and brightness.

    Each pixel moves towards its own grey or away from it, then all move from the mean.
    """

    name = "color_jitter"
    columns = ("contrast", "saturation", "brightness")  # two factors, and a shift of x

    @classmethod
    def is_active(cls, params: config.Train) -> bool:
        return params.color_jitter > 0

    @classmethod
    def description(cls, params: config.Train) -> str:
        amount = percent(params.color_jitter)
        return f"contrast, saturation and brightness changed by up to {amount}"

    def sample(self, n: int, generator: Generator) -> Tensor:
        change = self.params.color_jitter * symmetric(n, 3, generator)
        return torch.tensor([1.0, 1.0, 0.0]) + change

    def __call__(self, x: Tensor, sampled: Tensor) -> Tensor:
        contrast, saturation, brightness = sampled[:, :, None, None, None].unbind(1)
        grey = x.mean(dim=1, keepdim=True)
        shift = grey * (contrast * (1 - saturation)) + brightness
        return torch.addcmul(shift, x, contrast * saturation)


class PCALighting(PixelTransform):
    """Shift each image's colours along the principal components of all training pixels.

    Krizhevsky et al. 2012, section 4.1.
    """

    name = "pca_lighting"
    columns = ("first", "second", "third")  # in standard deviations of each component

    def __init__(self, params: config.Train, images: TrainingImages) -> None:
        super().__init__(params, images)
        self.components = principal_components(images.pixels, images.std).to(images.device)

    @classmethod
    def is_active(cls, params: config.Train) -> bool:
        return params.pca_lighting_std > 0

    @classmethod
    def description(cls, params: config.Train) -> str:
        return "colours shifted along the pixels' principal components"

    def sample(self, n: int, generator: Generator) -> Tensor:
        return torch.randn(n, 3, generator=generator) * self.params.pca_lighting_std

    def __call__(self, x: Tensor, sampled: Tensor) -> Tensor:
        return x + (sampled @ self.components.T)[:, :, None, None]


def principal_components(images: Tensor, std: Sequence[float], max_images: int = 10_000) -> Tensor:
    """The principal components of the images' pixels, in units of the network's input.

    images: uint8 (N, H, W, 3), of which at most `max_images`, evenly spread, are read.
    Returns float32 (3, 3): a component in each column, as long as its standard deviation.
    """
    subset = images[:: math.ceil(len(images) / max_images)]
    pixels = subset.reshape(-1, 3).double() / 255 / torch.tensor(std, dtype=torch.float64)
    variances, directions = torch.linalg.eigh(torch.cov(pixels.T))
    return (directions * variances.clamp(min=0).sqrt()).float()
