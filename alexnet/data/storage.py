"""A split on disk: a safetensors file, laid out first and filled through a memory map.

The whole split never has to fit in memory. The format is eight bytes with the
header's length, a JSON header, then the values.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from alexnet.data.images import Pixels
from alexnet.errors import UserError
from alexnet.files import preallocate


def create_split(
    path: Path, num_images: int, size: int, channels: int
) -> tuple[Pixels, NDArray[np.int64]]:
    """Lay out a split; what is assigned to the two arrays is in the file.

    Returns images uint8 (N, size, size, channels) and labels int64 (N). Raises OSError
    if the disk has no room for all of it.
    """
    shape = (num_images, size, size, channels)
    label_bytes, image_bytes = 8 * num_images, num_images * size * size * channels
    entries = {
        "__metadata__": {"format": "pt"},
        # Labels first: their eight bytes each must start at a multiple of eight.
        "labels": {"dtype": "I64", "shape": [num_images], "data_offsets": [0, label_bytes]},
        "images": {
            "dtype": "U8",
            "shape": shape,
            "data_offsets": [label_bytes, label_bytes + image_bytes],
        },
    }
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    start = 8 + len(header)
    preallocate(path, start + label_bytes + image_bytes)
    with path.open("r+b") as file:
        file.write(len(header).to_bytes(8, "little") + header)
    labels = np.memmap(path, "<i8", "r+", offset=start, shape=(num_images,))
    images = np.memmap(path, np.uint8, "r+", offset=start + label_bytes, shape=shape)
    return images, labels


def check_split(path: Path, size: int, channels: int, counts: list[int]) -> None:
    """Open a written split anew, by the library that its readers use, and compare.

    `counts` are the images of each class. Raises UserError if it reads otherwise.
    """
    try:
        with safe_open(path, framework="np") as file:
            images, labels = file.get_slice("images"), file.get_tensor("labels")
            found = (images.get_dtype(), tuple(images.get_shape()), str(labels.dtype))
    except SafetensorError as error:
        raise UserError(
            f"{path.name} was written, but does not read ({error}); try again"
        ) from None
    expected = ("U8", (sum(counts), size, size, channels), "int64")
    if found != expected or np.bincount(labels, minlength=len(counts)).tolist() != counts:
        raise UserError(f"{path.name} reads {found} where {expected} was written; try again")
