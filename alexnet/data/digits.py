"""The handwritten digits that come with scikit-learn: 1,797 scans of 8x8, 17 greys."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from alexnet.data.catalog import DATASETS
from alexnet.data.index import DatasetIndex, Item
from alexnet.errors import UserError


def read_digits(path: Path) -> DatasetIndex:
    """The index of digits.csv.gz: 64 greys from 0 to 16 and a label in each line.

    Grey g becomes round(g * 255 / 16). All images are in `train`; the pipeline draws the
    other splits. Raises UserError if the file has another format.
    """
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            table = np.loadtxt(file, delimiter=",", ndmin=2)
        greys, labels = table[:, :-1].reshape(-1, 8, 8, 1), table[:, -1].astype(np.int64)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path.name} is not scikit-learn's table of digits ({error})") from None
    images = np.rint(greys * (255 / 16)).astype(np.uint8)

    def items() -> Iterator[Item]:
        for index, image in enumerate(images):
            yield Item(index, f"digit {index}", image)

    return DatasetIndex(DATASETS["digits"].classes, labels, np.full(len(labels), "train"), items)
