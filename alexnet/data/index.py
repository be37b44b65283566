"""What every kind of source is read into, before a single image is decoded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alexnet.data.images import Pixels

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Item:
    """Image `index` of a listing: an encoded file, or pixels uint8 (H, W, C)."""

    index: int
    name: str
    content: bytes | Pixels


@dataclass(frozen=True)
class DatasetIndex:
    """The images of a source.

    `labels` int64 (N) and `given` str (N): the class and the split that the source
    gives each image; `items` reads the images, each once, in whatever order the
    source has them.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    given: NDArray[np.str_]
    items: Callable[[], Iterator[Item]]

    def __len__(self) -> int:
        return len(self.labels)
