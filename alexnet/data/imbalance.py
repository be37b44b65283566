"""Class imbalance: classes that differ so much in size that accuracy hides the small ones."""

from collections.abc import Mapping
from dataclasses import dataclass

# Of two classes at 4 : 1, a network that always answers the larger one reaches an accuracy of
# 0.8 with a balanced accuracy of 0.5.
HIGH_RATIO = 4


@dataclass(frozen=True)
class Imbalance:
    """The largest and the smallest class of a split, with their numbers of images."""

    split: str
    largest: str
    smallest: str
    num_largest: int
    num_smallest: int

    @property
    def ratio(self) -> float:
        """The imbalance ratio: 1 if all classes have the same size."""
        return self.num_largest / self.num_smallest

    @property
    def is_high(self) -> bool:
        return self.ratio >= HIGH_RATIO

    def __str__(self) -> str:
        images = "training images" if self.split == "train" else f"{self.split} images"
        ratio = f"{self.ratio:,.1f}".removesuffix(".0")
        return (
            f"{self.num_largest:,} {images} of {self.largest}, {self.num_smallest:,} of "
            f"{self.smallest} ({ratio} : 1)"
        )


def imbalance_of(counts: Mapping[str, Mapping[str, int]]) -> Imbalance:
    """That of the training images; that of the test images if it alone is high.

    counts: images of each class, for each split, as in meta.json. A class without an image in a
    split is not compared: preprocess refuses such a data set.
    """
    train, test = (_imbalance(split, counts[split]) for split in ("train", "test"))
    return test if test.is_high and not train.is_high else train


def _imbalance(split: str, counts: Mapping[str, int]) -> Imbalance:
    present = {name: number for name, number in counts.items() if number}
    largest, smallest = max(present, key=present.__getitem__), min(present, key=present.__getitem__)
    return Imbalance(split, largest, smallest, present[largest], present[smallest])
