"""Which image goes to which split."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alexnet import config
from alexnet.data.index import SPLITS, DatasetIndex
from alexnet.errors import UserError


def split_dataset(listing: DatasetIndex, data: config.Data) -> NDArray[np.str_]:
    """The split of every image, str (N).

    A split that the source does not give is drawn from its training images, in equal
    share from each class, by `split_seed` alone. Raises UserError for a class with
    too few images for every split to get one.
    """
    splits = listing.given.astype("<U5")
    drawn = {"test": data.test_fraction, "val": data.val_fraction}
    drawn = {split: share for split, share in drawn.items() if split not in listing.given}
    random = np.random.Generator(np.random.PCG64(data.split_seed))
    for label, name in enumerate(listing.classes):
        pool = np.flatnonzero((listing.labels == label) & (listing.given == "train"))
        shuffled = random.permutation(pool)
        start = 0
        for split, share in drawn.items():
            stop = start + max(1, round(len(pool) * share))
            splits[shuffled[start:stop]] = split
            start = stop
        if start >= len(pool):
            wanted = ", ".join(["train", *drawn])
            raise UserError(
                f"class {name} has {len(pool)} image(s), too few for {wanted}; add some"
            )
    return splits


def count(
    splits: NDArray[np.str_], labels: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, dict[str, int]]:
    """How many images of each class are in each split.

    Raises UserError if a split has none of some class: nothing could be said of it.
    """
    counts = {}
    for split in SPLITS:
        numbers = np.bincount(labels[splits == split], minlength=len(classes)).tolist()
        counts[split] = dict(zip(classes, numbers, strict=True))
        if 0 in numbers:
            raise UserError(f"class {classes[numbers.index(0)]} has no image in the {split} split")
    return counts
