"""From stored images to the network's input: augmentation, then normalisation.

What happens to an image is drawn on the CPU, for a whole epoch at once and by the
image's number (`Draws`); it is then done to whole batches where they lie. So the same
image is changed in the same way on every device, in every batch size and in every
process.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet import config
from alexnet.network.inputs import normalise
from alexnet.seeding import generator_for


@dataclass(frozen=True)
class AugmentationParams:
    """What is done to each of N images in one epoch; each tensor has N rows."""

    top: Tensor  # int64: the row of the image at which the crop starts; may lie outside
    left: Tensor  # int64: the column
    mirrored: Tensor  # bool
    hole_top: Tensor  # int64: the first row of the crop that is hidden
    hole_left: Tensor  # int64
    light: Tensor  # float32 (N, 3): how far along each of the colours' principal components
    frame: Tensor  # float32 (N, 2, 2): where the picture's axes x and y point, 1 to its edge
    tone: Tensor  # float32 (N, 3): contrast and saturation as factors, brightness as a shift
    patch: Tensor  # int64 (N, 3): top, left and side of the square that a pair of images trades

    def tensors(self) -> list[Tensor]:
        return [getattr(self, field.name) for field in fields(self)]

    def take(self, index: Tensor | slice) -> "AugmentationParams":
        return AugmentationParams(*(value[index] for value in self.tensors()))

    def to(self, device: torch.device, non_blocking: bool = False) -> "AugmentationParams":
        return AugmentationParams(
            *(value.to(device, non_blocking=non_blocking) for value in self.tensors())
        )


def draw(images: Tensor, crop_size: int, params: config.Train, epoch: int) -> AugmentationParams:
    """What `epoch` does to each of the images (N, H, W, C), cropped to `crop_size` pixels.

    A crop starts up to `crop_padding` pixels outside the image. `flip: alternating`
    (Jordan, arXiv 2404.00498) mirrors each image in every second epoch, so that two
    epochs show both sides of all. Light is drawn as in the 2012 paper, section 4.1.
    """
    generator = generator_for(params.seed, "augmentation", epoch)
    n, image_size, padding = len(images), images.shape[1], params.crop_padding

    def whole(low: int, high: int) -> Tensor:
        return torch.randint(low, high + 1, (n,), generator=generator)

    furthest = image_size - crop_size + padding
    top, left = whole(-padding, furthest), whole(-padding, furthest)
    if params.hflip == "alternating":
        first = torch.randint(2, (n,), generator=generator_for(params.seed, "mirrored first"))
        mirrored = (first + epoch) % 2 == 1
    else:
        mirrored = (whole(0, 1) == 1) & (params.hflip == "random")
    # The hole's centre is anywhere in the image, so that at an edge part of it is cut off.
    half = params.cutout // 2
    hole_top, hole_left = whole(-half, crop_size - 1 - half), whole(-half, crop_size - 1 - half)
    light = torch.randn(n, 3, generator=generator) * params.pca_lighting_std

    def even(furthest: float, *shape: int) -> Tensor:
        return (torch.rand(n, *shape, generator=generator) * 2 - 1) * furthest

    lengths = 1 + even(params.scale, 2)
    angle = even(math.radians(params.degrees))
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack([cos, -sin, sin, cos], dim=1).view(n, 2, 2)
    tone = torch.tensor([1.0, 1.0, 0.0]) + even(params.color_jitter, 3)
    patch = _patches(n, crop_size, params, epoch)
    frame = turned * lengths[:, None, :]
    return AugmentationParams(top, left, mirrored, hole_top, hole_left, light, frame, tone, patch)


def _patches(num_images: int, size: int, params: config.Train, epoch: int) -> Tensor:
    """int64 (N, 3): top, left and side of a square inside the image; side 0 for none.

    Of each size of area up to a half: of two images that trade more than that, one
    has become the other.
    """
    generator = generator_for(params.seed, "cutmix", epoch)
    chance, area, top, left = torch.rand(4, num_images, generator=generator)
    trades = (chance < params.cutmix_prob) & (epoch < params.cutmix_end * params.epochs)
    side = ((area / 2).sqrt() * size).round().long() * trades
    top, left = ((place * (size - side + 1)).long() for place in (top, left))
    return torch.stack([top, left, side], dim=1)


def crop_and_flip(images: Tensor, draws: AugmentationParams, crop_size: int) -> Tensor:
    """Cut a square of `crop_size` out of each image, and mirror some.

    images: uint8 (N, H, W, C) to (N, crop_size, crop_size, C). Where a crop reaches
    outside, the image's own pixels go on, mirrored at its edge. Crop and flip are one
    gather: for each image the rows and columns to read.
    """
    n, height, width, channels = images.shape
    steps = torch.arange(crop_size, device=images.device)
    rows = _reflect(draws.top[:, None] + steps, height)  #                       (N, crop)
    across = torch.where(draws.mirrored[:, None], crop_size - 1 - steps, steps)  # (N, crop)
    columns = _reflect(draws.left[:, None] + across, width)
    first_row = torch.arange(n, device=images.device)[:, None] * height
    pixels = (first_row + rows)[:, :, None] * width + columns[:, None, :]  #     (N, crop, crop)
    cropped = images.reshape(-1, channels).index_select(0, pixels.reshape(-1))
    return cropped.view(n, crop_size, crop_size, channels)


def _reflect(position: Tensor, size: int) -> Tensor:
    """Positions beyond either edge, mirrored back inside: -1 -> 1, size -> size - 2."""
    last = size - 1
    return last - (last - position.abs()).abs()


def hide(x: Tensor, draws: AugmentationParams, size: int) -> Tensor:
    """Set a square of `size` pixels in each image to the mean, which is 0 by now.

    Cutout (DeVries & Taylor, arXiv 1708.04552): the network must not rest on one part.
    x: (N, C, H, W), normalised.
    """
    return x.masked_fill(_inside(x, draws.hole_top, draws.hole_left, size), 0.0)


def _inside(x: Tensor, top: Tensor, left: Tensor, side: Tensor | int) -> Tensor:
    """Which pixels of `x` (N, C, H, W) lie in each image's own square: bool (N, 1, H, W)."""
    row = torch.arange(x.shape[2], device=x.device)[:, None]  # (H, 1)
    column = torch.arange(x.shape[3], device=x.device)  #       (W)
    top, left = top[:, None, None, None], left[:, None, None, None]
    side = side[:, None, None, None] if isinstance(side, Tensor) else side
    in_row, in_column = (row >= top) & (row < top + side), (column >= left) & (column < left + side)
    return in_row & in_column


def trade(x: Tensor, draws: AugmentationParams) -> Tensor:
    """Let each two neighbours of the batch trade a square of their pictures.

    CutMix (Yun et al., arXiv 1905.04899): what is hidden is no hole but a part of something
    else, which is to be named, too (`mixed`). x: (N, C, H, W).
    """
    first, partner = _pairs(len(x), x.device)
    top, left, side = draws.patch[first].unbind(1)
    return torch.where(_inside(x, top, left, side), x[partner], x)


def mixed(labels: Tensor, draws: AugmentationParams, num_classes: int, size: int) -> Tensor:
    """What `trade` leaves to be seen of each class: float32 (N, num_classes), in each row 1.

    labels: int64 (N), of images of `size` x `size` pixels.
    """
    first, partner = _pairs(len(labels), labels.device)
    traded = (draws.patch[first, 2].float() / size).square()[:, None]  #    (N, 1)
    own = F.one_hot(labels, num_classes).float()
    return torch.lerp(own, own[partner], traded)


def _pairs(num_images: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(the pair's first image, the other one) for each of a batch; an odd last one is alone."""
    index = torch.arange(num_images, device=device)
    return index // 2 * 2, (index ^ 1).clamp(max=num_images - 1)


def random_affine(x: Tensor, draws: AugmentationParams) -> Tensor:
    """Look at each image through a frame that is larger or smaller and turned.

    x: (N, C, S, S). The frame's middle is the image's; pixels between four others are
    interpolated from them, and those outside are mirrored in.
    """
    size = x.shape[-1]
    axis = (torch.arange(size, device=x.device) + 0.5) * (2 / size) - 1  # pixels' middles, -1 .. 1
    across, down = (axis[:, None] * draws.frame[:, None, :, i] for i in (0, 1))  # (N, S, 2)
    where = across[:, None] + down[:, :, None]  #                                  (N, S, S, 2)
    return F.grid_sample(x, where, padding_mode="reflection", align_corners=False)


def color_jitter(x: Tensor, draws: AugmentationParams) -> Tensor:
    """Change each image's contrast, saturation and brightness. x: (N, C, H, W), normalised.

    Colours move towards the pixel's grey, or away from it; all then moves from the mean.
    """
    contrast, saturation, brightness = draws.tone[:, :, None, None, None].unbind(1)
    grey = x.mean(dim=1, keepdim=True)
    return torch.addcmul(
        grey * (contrast * (1 - saturation)) + brightness, x, contrast * saturation
    )


def pca_lighting(x: Tensor, draws: AugmentationParams, components: Tensor) -> Tensor:
    """Shift each image's colours along the principal components of all pixels.

    Section 4.1 of the 2012 paper. x: (N, 3, H, W), normalised; components: (3, 3), in
    the same unit, one in each column, as long as its deviation.
    """
    return x + (draws.light @ components.T)[:, :, None, None]


class Augmentation:
    """All that happens to the images of a batch before the network sees them."""

    def __init__(
        self,
        images: Tensor,
        crop_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        params: config.Train,
        device: torch.device,
    ) -> None:
        """images: those of the training split, whose colours `lighting` goes by."""
        self.crop_size, self.cutout = crop_size, params.cutout
        self.reframes = params.scale > 0 or params.degrees > 0
        self.retones = params.color_jitter > 0
        self.trades = params.cutmix_prob > 0
        self.mean = torch.tensor(mean, device=device)
        self.std = torch.tensor(std, device=device)
        self.components: Tensor | None = None
        if params.pca_lighting_std:
            self.components = colour_components(images, std).to(device)

    def __call__(self, images: Tensor, draws: AugmentationParams) -> Tensor:
        """uint8 (N, H, W, C), as stored, to float (N, C, crop_size, crop_size)."""
        x = normalise(crop_and_flip(images, draws, self.crop_size), self.mean, self.std)
        if self.reframes:
            x = random_affine(x, draws)
        if self.retones:
            x = color_jitter(x, draws)
        if self.components is not None:
            x = pca_lighting(x, draws, self.components)
        if self.cutout:
            x = hide(x, draws, self.cutout)
        if self.trades:
            x = trade(x, draws)
        return x

    def targets(self, labels: Tensor, draws: AugmentationParams, num_classes: int) -> Tensor:
        """What is to be seen in them: int64 (N), or where images trade float32 (N, num_classes)."""
        if not self.trades:
            return labels
        return mixed(labels, draws, num_classes, self.crop_size)


def colour_components(images: Tensor, std: Sequence[float], most: int = 10_000) -> Tensor:
    """The principal components of the images' pixels (3, 3), for `relight`.

    images: uint8 (N, H, W, 3), of which at most `most`, evenly spread, are read.
    """
    sample = images[:: math.ceil(len(images) / most)]
    pixels = sample.reshape(-1, 3).double() / 255 / torch.tensor(std, dtype=torch.float64)
    variances, directions = torch.linalg.eigh(torch.cov(pixels.T))
    return (directions * variances.clamp(min=0).sqrt()).float()
