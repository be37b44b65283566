"""Statistics of the pixels of a split: mean, standard deviation, duplicates."""

import hashlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from alexnet.data.images import Pixels
from alexnet.errors import UserError

_BLOCK_PIXELS = 1 << 22


def mean_and_std(images: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of pixel / 255, per channel, of images uint8 (N, H, W, C).

    Both follow from a histogram of the 256 values, in integers, so they are exact and do not
    depend on an order of summation. Raises UserError for a channel that is constant, by
    whose deviation nothing can be divided.
    """
    channels = images.shape[3]
    histogram = np.zeros(channels * 256, np.int64)
    for rows in blocks(images):
        histogram += Image.fromarray(_tall(images[rows])).histogram()
    mean, std = [], []
    for channel, occurrences in enumerate(histogram.reshape(channels, 256).tolist()):
        num = sum(occurrences)
        total = sum(value * times for value, times in enumerate(occurrences))
        squares = sum(value * value * times for value, times in enumerate(occurrences))
        variance = num * squares - total * total  # of the values, times num squared
        if variance == 0:
            raise UserError(
                f"channel {channel} has one value in all training images; there is nothing to learn"
            )
        mean.append(total / (255 * num))
        std.append(variance**0.5 / (255 * num))
    return tuple(mean), tuple(std)


def count_duplicates(images: Pixels, *splits: Pixels) -> list[int]:
    """For each of `splits`, how many of its images equal one of `images`, pixel by pixel."""
    seen = set(_digests(images))
    return [sum(digest in seen for digest in _digests(split)) for split in splits]


def _digests(images: Pixels) -> Iterator[bytes]:
    """A digest of 16 bytes for each image, so that no image has to stay in memory."""
    for image in images:
        yield hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def blocks(images: Pixels) -> Iterator[slice]:
    """The rows of images (N, H, W, C), as many at a time as are held in memory."""
    rows = max(1, _BLOCK_PIXELS // (images.shape[1] * images.shape[2]))
    for start in range(0, len(images), rows):
        yield slice(start, start + rows)


def _tall(images: Pixels) -> Pixels:
    """Images one below the other, as Pillow takes them: (N * H, W, 3), or (N * H, W) if grey."""
    _, _, width, channels = images.shape
    return images.reshape((-1, width, channels) if channels > 1 else (-1, width))
