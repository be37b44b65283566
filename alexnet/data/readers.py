"""A reader for each format: from the files as received to the index of a data set."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexnet.data.catalog import DATASETS
from alexnet.data.cifar import read_cifar
from alexnet.data.digits import read_digits
from alexnet.data.folder import read_folder
from alexnet.data.idx import read_idx
from alexnet.data.index import DatasetIndex
from alexnet.errors import UserError


def read_index(name: str, files: Path) -> DatasetIndex:
    """The index of data set `name`, whose source files lie in `files`.

    Raises UserError if a published data set has not its published number of images.
    """
    if name == "folder":
        return read_folder(files)
    match DATASETS[name].format:
        case "idx":
            index = read_idx(name, files)
        case "cifar":
            entries = list(files.iterdir())
            index = read_cifar(name, entries[0] if len(entries) == 1 else files)
        case "digits":
            index = read_digits(next(files.iterdir()))
    check_published_counts(name, index.split)
    return index


def check_published_counts(name: str, split: NDArray[np.str_]) -> None:
    """Raises UserError unless each split, str (N), has the published number of images."""
    names, numbers = np.unique(split, return_counts=True)
    found = dict(zip(names.tolist(), numbers.tolist(), strict=True))
    published = dict(DATASETS[name].counts)
    if found != published:
        raise UserError(f"{name} should have {published} images, but has {found}")
