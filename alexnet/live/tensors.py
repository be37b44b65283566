"""Arrays for the page: weights in 8 bits, and all arrays in one compressed file."""

import gzip
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 8  # bytes: a typed array of JavaScript begins at a multiple of its item's size
DTYPES = ("int8", "uint8", "uint16", "float32")

Array = NDArray[Any]
Floats = NDArray[np.float32]


def quantise(values: Array, bits: int = 8) -> tuple[NDArray[np.int8], Floats]:
    """int8 values and one scale for each row (the first axis); `dequantise` undoes it, rounded.

    bits: of which one is the sign. The largest absolute value of a row is 127 times its scale (63
    times with 7 bits); the scale of a row of zeros is 1.
    """
    levels = 2 ** (bits - 1) - 1
    largest = np.abs(values).max(axis=tuple(range(1, values.ndim)))
    scales = np.where(largest > 0, largest / levels, 1).astype(np.float32)
    rounded = np.rint(values / _by_row(scales, values.ndim))
    return np.clip(rounded, -levels, levels).astype(np.int8), scales


def dequantise(values: NDArray[np.int8], scales: Floats) -> Floats:
    """The float32 values that the page computes with."""
    return values.astype(np.float32) * _by_row(scales, values.ndim)


def _by_row(scales: Floats, dimensions: int) -> Floats:
    return scales.reshape(-1, *[1] * (dimensions - 1))


def pack(arrays: dict[str, Array]) -> tuple[bytes, dict[str, dict[str, Any]]]:
    """All arrays one after the other, and by name the dtype, the shape and the first byte."""
    content, table = bytearray(), {}
    for name, array in arrays.items():
        assert array.dtype.name in DTYPES, name
        little = array.astype(array.dtype.newbyteorder("<"), order="C")
        content += bytes(-len(content) % ALIGNMENT)
        table[name] = {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "offset": len(content),
        }
        content += little.tobytes()
    return bytes(content), table


def compress(content: bytes) -> bytes:
    """As a gzip file without a date, so that the same content gives the same bytes."""
    return gzip.compress(content, compresslevel=9, mtime=0)
