"""What is said of a split's pixels: mean, deviation, duplicates."""

import hashlib
from collections.abc import Iterator

import numpy as np

from alexnet.data.images import Pixels
from alexnet.errors import UserError

_BLOCK_PIXELS = 1 << 22


def mean_and_std(images: Pixels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Of pixel / 255, per channel, exactly: images uint8 (N, H, W, C).

    How often each of the 256 values occurs is all that both need, so the sums are of
    whole numbers, in any order. Raises UserError for a channel of one value only,
    by whose deviation nothing can be divided.
    """
    channels = images.shape[3]
    histogram = np.zeros((channels, 256), np.int64)
    for block in _blocks(images):
        for channel in range(channels):
            values = block[..., channel].ravel()
            histogram[channel] += np.bincount(values, minlength=256)
    mean, std = [], []
    for channel, occurrences in enumerate(histogram.tolist()):
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


def num_duplicates(images: Pixels, others: Pixels) -> int:
    """How many of `others` are, pixel by pixel, among `images`."""
    seen = set(_digests(images))
    return sum(digest in seen for digest in _digests(others))


def _digests(images: Pixels) -> Iterator[bytes]:
    """16 bytes stand for an image, so that the images need not be held."""
    for image in images:
        yield hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _blocks(images: Pixels) -> Iterator[Pixels]:
    rows = max(1, _BLOCK_PIXELS // (images.shape[1] * images.shape[2]))
    for start in range(0, len(images), rows):
        yield images[start : start + rows]
