"""The augmentation of training images: which transforms there are, and in which order they act.

An epoch's random numbers are sampled on the CPU, for all images at once and by the image's
number. The arithmetic runs on whole batches, where they lie. So an image is changed in the
same way on every device, in every batch size and in every process.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from alexnet import config
from alexnet.network.inputs import centre_crop, normalise
from alexnet.training.color import ColorJitter, PCALighting
from alexnet.training.occlusion import CutMix, Cutout, RandomErasing
from alexnet.training.transforms import (
    GatherTransform,
    HorizontalFlip,
    PixelTransform,
    RandomAffine,
    RandomCrop,
    TrainingImages,
    Transform,
)

# In the order in which they act; those that gather stored pixels come first.
TRANSFORMS: tuple[type[Transform], ...] = (
    RandomCrop,
    HorizontalFlip,
    RandomAffine,
    ColorJitter,
    PCALighting,
    Cutout,
    RandomErasing,
    CutMix,
)


class Augmentation:
    """From stored training images to the network's input, through the active transforms.

    `sampled` holds the random numbers: float32 (N, num_columns), a row for each image, with the
    columns of each active transform. (float32 holds positions in pixels exactly.)
    """

    def __init__(
        self,
        images: Tensor,
        mean: Sequence[float],
        std: Sequence[float],
        params: config.Train,
        device: torch.device,
    ) -> None:
        """images: uint8 (N, H, W, C), the training split; mean, std: of pixel / 255."""
        self.seed = params.seed
        self.crop_size = params.crop_size or images.shape[1]
        self.mean = torch.tensor(mean, device=device)
        self.std = torch.tensor(std, device=device)
        training_images = TrainingImages(images, self.crop_size, std, device)
        self.transforms = [kind(params, training_images) for kind in active_transforms(params)]
        self.columns: dict[str, slice] = {}  # of each transform, by its name
        end = 0
        for transform in self.transforms:
            start, end = end, end + len(transform.columns)
            self.columns[transform.name] = slice(start, end)

    def sample(self, n: int, epoch: int) -> Tensor:
        """The random numbers of `epoch` for n images: (n, num_columns), on the CPU."""
        parts = [transform.sample_epoch(n, self.seed, epoch) for transform in self.transforms]
        return torch.cat([torch.empty(n, 0), *parts], dim=1)

    def select(self, sampled: Tensor, name: str) -> Tensor:
        """The columns of the transform of this name: float32 (N, its columns), a view."""
        return sampled[:, self.columns[name]]

    def __call__(self, images: Tensor, sampled: Tensor) -> Tensor:
        """uint8 (N, H, W, C), as stored, to float (N, C, crop_size, crop_size)."""
        x = normalise(self._gather(images, sampled), self.mean, self.std)
        for transform in self.transforms:
            if isinstance(transform, PixelTransform):
                x = transform(x, self.select(sampled, transform.name))
        return x

    def targets(self, labels: Tensor, sampled: Tensor, num_classes: int) -> Tensor:
        """What the network should answer: int64 (N), or float32 (N, num_classes) if mixed."""
        targets = labels
        for transform in self.transforms:
            targets = transform.mix_targets(
                targets, sampled[:, self.columns[transform.name]], num_classes
            )
        return targets

    def _gather(self, images: Tensor, sampled: Tensor) -> Tensor:
        """Crop, flip and their kind as one gather: uint8 (N, crop_size, crop_size, C)."""
        gathers = [each for each in self.transforms if isinstance(each, GatherTransform)]
        if not gathers:
            return centre_crop(images, self.crop_size)
        n, height, width, channels = images.shape
        rows = columns = torch.arange(self.crop_size, device=images.device)[None]  # (1, S)
        for transform in reversed(gathers):  # from the result back to the stored image
            rows, columns = transform.source(
                rows, columns, sampled[:, self.columns[transform.name]]
            )
        first_row = torch.arange(n, device=images.device)[:, None] * height
        pixels = (first_row + rows)[:, :, None] * width + columns[:, None, :]  #     (N, S, S)
        gathered = images.reshape(-1, channels).index_select(0, pixels.reshape(-1))
        return gathered.view(n, self.crop_size, self.crop_size, channels)


def active_transforms(params: config.Train) -> list[type[Transform]]:
    """Those that `params` ask for, in the order in which they act."""
    if params.augmentation == "none":
        return []
    return [kind for kind in TRANSFORMS if kind.is_active(params)]


def describe_augmentation(params: config.Train) -> str:
    """What training does to each image, in the order in which it is done; "" if nothing."""
    return ", ".join(kind.description(params) for kind in active_transforms(params))
