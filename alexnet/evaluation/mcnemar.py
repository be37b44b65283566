"""McNemar's exact test: whether two networks differ in accuracy by more than chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class McNemar:
    """Test images that only one of two networks classifies correctly, and the test's p-value."""

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """Of two networks (N) whether each classifies an image correctly; two-sided.

    McNemar, Psychometrika 12, 1947: if the two are equally good, each image on which they
    disagree is a toss of a fair coin.
    """
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    tosses = only_first + only_second
    ways, tail = 1, 0  # to have k of one kind; to have no more than the rarer kind has
    for k in range(min(only_first, only_second) + 1):
        tail += ways
        ways = ways * (tosses - k) // (k + 1)
    return McNemar(only_first, only_second, min(1.0, 2 * tail / 2**tosses))
