"""The augmentations that replace a rectangle of each image."""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from alexnet import config
from alexnet.seeding import generator_for
from alexnet.training.transforms import PixelTransform, TrainingImages, percent


def in_rectangle(
    x: Tensor, top: Tensor, left: Tensor, height: Tensor | int, width: Tensor | int
) -> Tensor:
    """Which pixels of x (N, C, H, W) lie in each image's rectangle: bool (N, 1, H, W).

    top, left, height, width: in pixels, (N, 1).
    """
    rows = torch.arange(x.shape[2], device=x.device)  #     (H)
    columns = torch.arange(x.shape[3], device=x.device)  # (W)
    in_rows = (rows >= top) & (rows < top + height)  #     (N, H)
    in_columns = (columns >= left) & (columns < left + width)
    return (in_rows[:, :, None] & in_columns[:, None, :])[:, None]


class Cutout(PixelTransform):
    """Set a square of each image to the mean, which is 0 in a normalised one.

    DeVries and Taylor, arXiv 1708.04552: the network must not rely on one part. The
    square's centre is anywhere in the image, so that at an edge part of it is cut off.
    """

    name = "cutout"
    columns = ("top", "left")  # in pixels; may be negative

    @classmethod
    def is_active(cls, params: config.Train) -> bool:
        return params.cutout > 0

    @classmethod
    def description(cls, params: config.Train) -> str:
        return f"a square of {params.cutout}×{params.cutout} pixels hidden"

    def sample(self, n: int, generator: Generator) -> Tensor:
        half = self.params.cutout // 2
        return torch.randint(
            -half, self.images.crop_size - half, (n, 2), generator=generator
        ).float()

    def __call__(self, x: Tensor, sampled: Tensor) -> Tensor:
        size, (top, left) = self.params.cutout, sampled.split(1, dim=1)
        return x.masked_fill(in_rectangle(x, top, left, size, size), 0.0)


class RandomErasing(PixelTransform):
    """Fill a rectangle of some images with normal noise.

    Zhong et al., arXiv 1708.04896, whose ranges of area and aspect ratio these are; the
    aspect ratio is drawn from those with which the rectangle fits into the image.

    The noise is read from one table, at a place of each image's own, so that it is the same
    on each device.
    """

    name = "random_erasing"
    columns = ("top", "left", "height", "width", "noise_offset")  # height 0: nothing is erased
    MIN_AREA, MAX_AREA = 0.02, 0.4  # as a fraction of the image
    MIN_ASPECT_RATIO = 0.3  # the largest is its inverse

    def __init__(self, params: config.Train, images: TrainingImages) -> None:
        super().__init__(params, images)
        size, channels = images.crop_size, images.pixels.shape[-1]
        self.num_values = size * size * channels  # of one image
        generator = generator_for(params.seed, "random_erasing noise")
        noise = torch.randn(2 * self.num_values, generator=generator).to(images.device)
        # Row i, a view, is the table from its i-th value on.
        self.noise = noise.unfold(0, self.num_values, 1)

    @classmethod
    def is_active(cls, params: config.Train) -> bool:
        return params.random_erasing_prob > 0

    @classmethod
    def description(cls, params: config.Train) -> str:
        share = percent(params.random_erasing_prob)
        return f"a rectangle of {share} of the images filled with noise"

    def sample(self, n: int, generator: Generator) -> Tensor:
        size = self.images.crop_size
        chance, area, ratio, top, left, offset = torch.rand(n, 6, generator=generator).unbind(1)
        area = self.MIN_AREA + (self.MAX_AREA - self.MIN_AREA) * area
        # Log-uniform. It fits if neither side, sqrt(area * ratio) or sqrt(area / ratio), is over 1.
        limit = torch.minimum(-area.log(), torch.tensor(-math.log(self.MIN_ASPECT_RATIO)))
        ratio = (limit * (2 * ratio - 1)).exp()
        height = ((area * ratio).sqrt() * size).round().clamp(1, size)
        width = ((area / ratio).sqrt() * size).round().clamp(1, size)
        top, left = (top * (size - height + 1)).floor(), (left * (size - width + 1)).floor()
        height = height * (chance < self.params.random_erasing_prob)
        offset = (offset * (self.num_values + 1)).floor()
        return torch.stack([top, left, height, width, offset], dim=1)

    def __call__(self, x: Tensor, sampled: Tensor) -> Tensor:
        n, channels, rows, columns = x.shape
        noise = self.noise[sampled[:, 4].long()].view(n, rows, columns, channels)
        erased = in_rectangle(x, *sampled[:, :4].split(1, dim=1))
        return torch.where(erased, noise.permute(0, 3, 1, 2), x)


class CutMix(PixelTransform):
    """Let the two images of a pair exchange a square, and as much of their labels.

    Yun et al., arXiv 1905.04899: what hides a part of an image is part of another one,
    which is to be recognised, too. Pairs are neighbours in the batch, 2i and 2i + 1; an odd
    last image is alone. The first one's square counts. It ends after `cutmix_end` of the
    epochs.
    """

    name = "cutmix"
    columns = ("top", "left", "side")  # in pixels; side 0: no exchange

    @classmethod
    def is_active(cls, params: config.Train) -> bool:
        return params.cutmix_prob > 0 and params.cutmix_end > 0

    @classmethod
    def description(cls, params: config.Train) -> str:
        pairs = f"a square exchanged in {percent(params.cutmix_prob)} of the pairs"
        end = f" in the first {percent(params.cutmix_end)} of the epochs"
        return pairs + end * (params.cutmix_end < 1)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """Areas are uniform up to a half: beyond that, one image would become the other."""
        size = self.images.crop_size
        chance, area, top, left = torch.rand(n, 4, generator=generator).unbind(1)
        side = ((area / 2).sqrt() * size).round() * (chance < self.params.cutmix_prob)
        top, left = (top * (size - side + 1)).floor(), (left * (size - side + 1)).floor()
        return torch.stack([top, left, side], dim=1)

    def sample_epoch(self, n: int, seed: int, epoch: int) -> Tensor:
        if epoch >= self.params.cutmix_end * self.params.epochs:
            return torch.zeros(n, len(self.columns))
        return super().sample_epoch(n, seed, epoch)

    def __call__(self, x: Tensor, sampled: Tensor) -> Tensor:
        first, partner = _partners(len(x), x.device)
        top, left, side = sampled[first].split(1, dim=1)
        return torch.where(in_rectangle(x, top, left, side, side), x[partner], x)

    def mix_targets(self, targets: Tensor, sampled: Tensor, num_classes: int) -> Tensor:
        """Each class's share of the image: float32 (N, num_classes), rows of sum 1."""
        first, partner = _partners(len(targets), targets.device)
        exchanged = (sampled[first, 2:] / self.images.crop_size).square()  # (N, 1)
        own = F.one_hot(targets, num_classes).float() if targets.dim() == 1 else targets
        return torch.lerp(own, own[partner], exchanged)


def _partners(num_images: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """For each image of a batch, int64 (N): the first one of its pair, and the other one."""
    index = torch.arange(num_images, device=device)
    return index // 2 * 2, (index ^ 1).clamp(max=num_images - 1)
