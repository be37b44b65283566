"""MNIST and its kin: IDX files, http://yann.lecun.com/exdb/mnist/, gzipped or not.

Two zero bytes, the type (8: uint8), the number of dimensions, each dimension as a
big-endian uint32, then the values.
"""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from alexnet.data.catalog import KNOWN
from alexnet.data.images import Pixels
from alexnet.data.index import DatasetIndex, Item
from alexnet.errors import UserError

_PREFIXES = {"train": "train", "test": "t10k"}


def read_idx(name: str, files: Path) -> DatasetIndex:
    """List `mnist` or `fashion-mnist`. Raises UserError for files that are not whole IDX."""
    classes = KNOWN[name].classes
    images, labels, given = [], [], []
    for split, prefix in _PREFIXES.items():
        pixels = parse_idx(_file(files, f"{prefix}-images-idx3-ubyte"), num_dims=3)
        split_labels = parse_idx(_file(files, f"{prefix}-labels-idx1-ubyte"), num_dims=1)
        if len(pixels) != len(split_labels):
            raise UserError(
                f"{files}: {prefix} has {len(pixels):,} images, but {len(split_labels):,} labels"
            )
        if len(pixels) and split_labels.max() >= len(classes):
            raise UserError(
                f"{files}: {prefix} has a label {split_labels.max()}; {name} has {len(classes)}"
            )
        images.append(pixels)
        labels.append(split_labels)
        given += [split] * len(pixels)

    def items() -> Iterator[Item]:
        rows = (row for pixels in images for row in pixels)
        for index, row in enumerate(rows):
            yield Item(index, f"image {index}", row[:, :, None])

    return DatasetIndex(classes, np.concatenate(labels).astype(np.int64), np.array(given), items)


def parse_idx(path: Path, num_dims: int) -> Pixels:
    """uint8 of the file's own shape, which must have `num_dims` dimensions."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path.name} is damaged ({error}); download again") from None
    head = 4 + 4 * num_dims
    if content[:4] != bytes([0, 0, 8, num_dims]) or len(content) < head:
        raise UserError(
            f"{path.name} is no IDX file of uint8 in {num_dims} dimension(s): "
            f"it starts with {content[:4].hex()}"
        )
    shape = tuple(np.frombuffer(content[4:head], ">u4").tolist())
    values = np.frombuffer(content, np.uint8, offset=head)
    if values.size != np.prod(shape, dtype=object):
        raise UserError(
            f"{path.name} should hold {shape} values, but holds {values.size:,}; download again"
        )
    return values.reshape(shape)


def _file(files: Path, name: str) -> Path:
    for path in (files / f"{name}.gz", files / name):
        if path.exists():
            return path
    raise UserError(f"{files} lacks {name}.gz; download again")
