"""MNIST and Fashion-MNIST: IDX files, http://yann.lecun.com/exdb/mnist/, compressed or not.

Two zero bytes, the type (8: uint8), the number of dimensions, each dimension as a
big-endian uint32, then the values.
"""

import lzma
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from alexnet.data.catalog import DATASETS
from alexnet.data.compressed import open_decompressed
from alexnet.data.images import Pixels
from alexnet.data.index import DatasetIndex, Item
from alexnet.errors import UserError

MAX_BYTES = 1 << 26  # of a content; the largest published one has 47,040,016
_PREFIXES = {"train": "train", "test": "t10k"}
# 7-Zip extracts train-images-idx3-ubyte.gz to the name in its header, with a dot.
_NAME = re.compile(r"(train|t10k)-(images[-.]idx3|labels[-.]idx1)-ubyte(?:\.(?:gz|xz|bz2))?")


def read_idx(name: str, files: Path) -> DatasetIndex:
    """The index of a data set in the format of MNIST. Raises UserError for an invalid file."""
    classes = DATASETS[name].classes
    images, labels, splits = [], [], []
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
        splits += [split] * len(pixels)

    def items() -> Iterator[Item]:
        rows = (row for pixels in images for row in pixels)
        for index, row in enumerate(rows):
            yield Item(index, f"image {index}", row[:, :, None])

    return DatasetIndex(classes, np.concatenate(labels).astype(np.int64), np.array(splits), items)


def published_stem(file_name: str) -> str | None:
    """`train-images-idx3-ubyte` for each spelling and compression of it, None for other files."""
    match = _NAME.fullmatch(file_name)
    return f"{match[1]}-{match[2].replace('.', '-')}-ubyte" if match else None


def read_content(path: Path) -> bytes:
    """What a gz, xz or bz2 file decompresses to, or the file itself.

    Raises UserError if it is damaged or larger than any IDX file of a data set.
    """
    try:
        with open_decompressed(path) as stream:
            content = stream.read(MAX_BYTES + 1)
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno:  # of the disk
            raise
        raise UserError(f"{path.name} is damaged ({error}); get it again") from None
    if len(content) > MAX_BYTES:
        raise UserError(f"{path.name} has more than {MAX_BYTES:,} bytes; no IDX file has")
    return content


def parse_idx(path: Path, num_dims: int) -> Pixels:
    """The values of an IDX file, uint8 in its shape. Raises UserError unless it has `num_dims`."""
    content = read_content(path)
    head = 4 + 4 * num_dims
    if content[:4] != bytes([0, 0, 8, num_dims]) or len(content) < head:
        raise UserError(
            f"{path.name} is not an IDX file of uint8 with {num_dims} dimension(s): "
            f"it starts with {content[:4].hex()}"
        )
    shape = tuple(np.frombuffer(content[4:head], ">u4").tolist())
    values = np.frombuffer(content, np.uint8, offset=head)
    if values.size != np.prod(shape, dtype=object):
        raise UserError(
            f"{path.name} should have {shape} values, but has {values.size:,}; get it again"
        )
    return values.reshape(shape)


def _file(files: Path, stem: str) -> Path:
    for path in sorted(files.iterdir()):
        if published_stem(path.name) == stem:
            return path
    raise UserError(f"{files} lacks {stem}; get it again")
