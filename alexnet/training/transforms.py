"""The augmentations of training images, each a class of its own.

To add one, write a subclass of `GatherTransform` or `PixelTransform`, name it in
`augmentation.TRANSFORMS`, and declare its parameters in `config.Train` and params.yaml.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from alexnet import config
from alexnet.seeding import generator_for


@dataclass(frozen=True)
class TrainingImages:
    """The images that a transform is built for."""

    pixels: Tensor  # uint8 (N, H, W, C): the training split
    crop_size: int  # side in pixels of the network's input
    std: Sequence[float]  # of pixel / 255, per channel
    device: torch.device  # where batches are augmented


class Transform(ABC):
    """One augmentation: its parameters, its random numbers and its arithmetic.

    Random numbers are sampled on the CPU for a whole epoch, a row for each training image.
    The arithmetic runs on a batch of images and their rows, on any device. Only `sample`
    may be random: an image is then changed in the same way on every device, in every batch
    and in every process.
    """

    name: ClassVar[str]  # unique; part of the seed
    columns: ClassVar[tuple[str, ...]]  # of the rows that `sample` returns

    def __init__(self, params: config.Train, images: TrainingImages) -> None:
        self.params, self.images = params, images

    @classmethod
    @abstractmethod
    def is_active(cls, params: config.Train) -> bool:
        """Whether `params` ask for it. An inactive transform is not built."""

    @classmethod
    @abstractmethod
    def description(cls, params: config.Train) -> str:
        """What an active one does to the images, as a phrase for the report."""

    @abstractmethod
    def sample(self, n: int, generator: Generator) -> Tensor:
        """Random numbers for n images: float32 (n, len(columns))."""

    def sample_epoch(self, n: int, seed: int, epoch: int) -> Tensor:
        """`sample` with a generator of its own: a function of (seed, name, epoch)."""
        return self.sample(n, generator_for(seed, self.name, epoch))

    def mix_targets(self, targets: Tensor, sampled: Tensor, num_classes: int) -> Tensor:
        """The batch's targets after the transform: by default as they are.

        targets: int64 (N), or float32 (N, num_classes) from an earlier transform.
        """
        return targets


class GatherTransform(Transform):
    """Moves whole pixels. All of these together are one gather on the stored uint8."""

    @abstractmethod
    def source(self, rows: Tensor, columns: Tensor, sampled: Tensor) -> tuple[Tensor, Tensor]:
        """From positions in its result to positions in its input, all int64 (N or 1, S)."""


class PixelTransform(Transform):
    """Computes new pixels."""

    @abstractmethod
    def __call__(self, x: Tensor, sampled: Tensor) -> Tensor:
        """x: float (N, C, S, S), normalised; sampled: (N, len(columns)). Same shape as x."""


class RandomCrop(GatherTransform):
    """Cut a square out of each image, from up to `crop_padding` pixels outside it.

    Outside, the image continues as its mirror image.
    """

    name = "crop"
    columns = ("top", "left")  # of the crop in the image, in pixels; may be negative

    @classmethod
    def is_active(cls, params: config.Train) -> bool:
        return params.crop_size is not None or params.crop_padding > 0

    @classmethod
    def description(cls, params: config.Train) -> str:
        shifted = f"shifted by up to {params.crop_padding} pixels"
        if params.crop_size is None:
            return shifted
        cropped = f"cropped to a random square of {params.crop_size} pixels"
        return f"{cropped}, {shifted}" if params.crop_padding else cropped

    def sample(self, n: int, generator: Generator) -> Tensor:
        padding = self.params.crop_padding
        last = self.images.pixels.shape[1] - self.images.crop_size + padding
        return torch.randint(-padding, last + 1, (n, 2), generator=generator).float()

    def source(self, rows: Tensor, columns: Tensor, sampled: Tensor) -> tuple[Tensor, Tensor]:
        _, height, width, _ = self.images.pixels.shape
        top, left = sampled.long().split(1, dim=1)
        return _reflect(top + rows, height), _reflect(left + columns, width)


def _reflect(position: Tensor, size: int) -> Tensor:
    """Positions beyond either edge, mirrored back inside: -1 -> 1, size -> size - 2."""
    last = size - 1
    return last - (last - position.abs()).abs()


class HorizontalFlip(GatherTransform):
    """Mirror half of the images, left to right.

    `alternating` (Jordan, arXiv 2404.00498) mirrors each image in every second epoch, so
    that two epochs show both sides of each.
    """

    name = "flip"
    columns = ("mirrored",)  # 0 or 1

    @classmethod
    def is_active(cls, params: config.Train) -> bool:
        return params.hflip != "none"

    @classmethod
    def description(cls, params: config.Train) -> str:
        return {
            "random": "mirrored at random",
            "alternating": "mirrored in every second epoch",
        }[params.hflip]

    def sample(self, n: int, generator: Generator) -> Tensor:
        return torch.randint(2, (n, 1), generator=generator).float()

    def sample_epoch(self, n: int, seed: int, epoch: int) -> Tensor:
        if self.params.hflip == "random":
            return super().sample_epoch(n, seed, epoch)
        first = self.sample(n, generator_for(seed, self.name))
        return (first + epoch) % 2

    def source(self, rows: Tensor, columns: Tensor, sampled: Tensor) -> tuple[Tensor, Tensor]:
        return rows, torch.where(sampled == 1, self.images.crop_size - 1 - columns, columns)


class RandomAffine(PixelTransform):
    """Scale width and height of each image independently, and rotate it.

    Pixels between four others are interpolated from them; those outside are mirrored in.
    """

    name = "affine"
    # Where a step to the right (x) and a step down (y) in the result lead in the image:
    # the matrix ((right_x, down_x), (right_y, down_y)).
    columns = ("right_x", "down_x", "right_y", "down_y")

    @classmethod
    def is_active(cls, params: config.Train) -> bool:
        return params.scale > 0 or params.degrees > 0

    @classmethod
    def description(cls, params: config.Train) -> str:
        scaled = f"scaled in width and height by up to {percent(params.scale)}"
        rotated = f"rotated by up to {params.degrees:g}°"
        return ", ".join([scaled] * (params.scale > 0) + [rotated] * (params.degrees > 0))

    def sample(self, n: int, generator: Generator) -> Tensor:
        width, height, turn = symmetric(n, 3, generator).unbind(1)
        width, height = 1 + self.params.scale * width, 1 + self.params.scale * height
        angle = math.radians(self.params.degrees) * turn
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos * width, -sin * height, sin * width, cos * height], dim=1)

    def __call__(self, x: Tensor, sampled: Tensor) -> Tensor:
        size = x.shape[-1]
        matrix = sampled.view(-1, 2, 2)
        axis = (torch.arange(size, device=x.device) + 0.5) * (2 / size) - 1  # centres, -1 .. 1
        right, down = (axis[:, None] * matrix[:, None, :, i] for i in (0, 1))  # (N, S, 2)
        grid = right[:, None] + down[:, :, None]  #                              (N, S, S, 2)
        return F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)


def symmetric(n: int, k: int, generator: Generator) -> Tensor:
    """Uniform in -1 .. 1: float32 (n, k)."""
    return torch.rand(n, k, generator=generator) * 2 - 1


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"
