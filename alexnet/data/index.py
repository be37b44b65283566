"""The index of a data set: its classes, labels and splits, before any image is decoded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alexnet.data.images import Pixels

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Item:
    """Image `index` of a data set.

    name: its path or number, for error messages.
    content: an encoded file, pixels uint8 (H, W, C), or why it is not read: with the name before
        it a message.
    """

    index: int
    name: str
    content: bytes | Pixels | str


@dataclass(frozen=True)
class DatasetIndex:
    """The images of a source.

    labels: int64 (N), the class of each image.
    split: str (N), the split of each image in the source; `train` where it has no splits.
    items: reads the images, each once, in the order in which the source stores them.
    num_system_files: of the source, which are skipped.
    remarks: what else a person should know of the source, with the level of its message.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    split: NDArray[np.str_]
    items: Callable[[], Iterator[Item]]
    num_system_files: int = 0
    remarks: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.labels)
