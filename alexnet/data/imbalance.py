"""Class imbalance: how differently often the classes occur."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from alexnet.escape import ClassName
from alexnet.files import Count

# Balanced data sets stay below it: MNIST's most frequent digit has 1.24 times as many training
# images as its rarest.
MAX_BALANCED_RATIO = 1.5


@dataclass(frozen=True)
class ClassImbalance:
    """The rarest and the most frequent class of a split, with their numbers of images."""

    rarest: ClassName
    num_rarest: Count
    most_frequent: ClassName
    num_most_frequent: Count
    num_images: Count

    @property
    def ratio(self) -> float:
        """The imbalance ratio: the images of the most frequent class over those of the rarest."""
        return self.num_most_frequent / self.num_rarest

    def as_dict(self) -> dict[str, Any]:
        """As in gate.json."""
        return asdict(self) | {"ratio": self.ratio}

    def __str__(self) -> str:
        return (
            f"{self.rarest} has {self.num_rarest:,} of {self.num_images:,} training images, "
            f"{self.most_frequent} {self.num_most_frequent:,} ({self.ratio:.3g} times as many)"
        )


def class_imbalance(counts: Mapping[str, int]) -> ClassImbalance | None:
    """The imbalance of a split, by its number of images of each class; None if it is balanced.

    Classes without images are left out.
    """
    present = {name: number for name, number in counts.items() if number}
    rarest, most_frequent = (choose(present, key=present.__getitem__) for choose in (min, max))
    found = ClassImbalance(
        rarest, present[rarest], most_frequent, present[most_frequent], sum(present.values())
    )
    return found if found.ratio > MAX_BALANCED_RATIO else None
