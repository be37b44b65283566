"""The index of a data set: its classes, labels and splits, before any image is decoded."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alexnet.data.images import Pixels
from alexnet.files import abbreviate

log = logging.getLogger(__name__)

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
    system_files: of the source, which are skipped; hidden files and folders are among them.
    remarks: what else a person should know of the source, with the level of its message.
    """

    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    split: NDArray[np.str_]
    items: Callable[[], Iterator[Item]]
    system_files: tuple[str, ...] = ()
    remarks: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


def log_system_files(origin: str, index: DatasetIndex) -> None:
    """Name what is skipped: a class may be called `.net`."""
    if skipped := index.system_files:
        log.info(
            "%s: skipped %d hidden or system file(s): %s",
            *(origin, len(skipped), abbreviate(skipped)),
        )
