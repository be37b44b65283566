"""Assign each image to train, val or test."""

import logging
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alexnet import config
from alexnet.data.index import SPLITS, DatasetIndex
from alexnet.errors import UserError

MIN_IMAGES = 20  # of a drawn split; each is then five points of accuracy

log = logging.getLogger(__name__)


def split_dataset(index: DatasetIndex, data: config.Data) -> NDArray[np.str_]:
    """The split of every image, str (N).

    A split that the source lacks is drawn from its training images, stratified by class,
    as a function of `split_seed` alone, with an image of each class or more. A warning says if it
    is too small to tell two models apart. Raises UserError for a class with fewer images than
    splits.
    """
    splits = index.split.astype("<U5")
    fractions = {"test": data.test_fraction, "val": data.val_fraction}
    drawn = {split: share for split, share in fractions.items() if split not in index.split}
    generator = np.random.Generator(np.random.PCG64(data.split_seed))
    for label, name in enumerate(index.classes):
        pool = np.flatnonzero((index.labels == label) & (index.split == "train"))
        shuffled = generator.permutation(pool)
        start = 0
        for split, share in drawn.items():
            stop = start + max(1, round(len(pool) * share))
            splits[shuffled[start:stop]] = split
            start = stop
        if start >= len(pool):
            wanted = ", ".join(["train", *drawn])
            fractions_of = " and ".join(f"data.{split}_fraction" for split in sorted(drawn)[::-1])
            one = f" ({1 / max(1, len(pool)):.2g} is an image)"
            lower = f", or lower {fractions_of}{one}" if len(pool) > len(drawn) else ""
            raise UserError(
                f"class {name} has {len(pool)} image(s), too few for {wanted}; add some{lower}"
            )
    for split, share in drawn.items():
        number = int((splits == split).sum())
        if number < MIN_IMAGES:
            fitting = math.ceil(100 * MIN_IMAGES / int((index.split == "train").sum())) / 100
            advice = f"{fitting:g} gives {MIN_IMAGES} or so" if fitting < 0.4 else "add images"
            log.warning(
                f"data.{split}_fraction: {share:g} gives {number} images, each of them "
                f"{1 / number:.3f} of the {split} accuracy; {advice}"
            )
    return splits


def count_images(
    splits: NDArray[np.str_], labels: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """The number of images of each class, for each split.

    Raises UserError if a split has no image of a class: it could not be evaluated.
    """
    counts = {}
    for split in SPLITS:
        numbers = np.bincount(labels[splits == split], minlength=len(classes)).tolist()
        counts[split] = dict(zip(classes, numbers, strict=True))
        if 0 in numbers:
            raise UserError(f"class {classes[numbers.index(0)]} has no image in the {split} split")
    return counts
