"""How a figure of the tour becomes a PNG, and whether two of them show the same."""

import base64
import io
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexnet.files import atomic_write

Picture = NDArray[np.float32]  # (H, W, channels), in [0, 1]

# On another machine the training ends in other last digits, and a line moves with them.
LARGEST_SHIFT = 2  # pixels
COLOUR_TOLERANCE = 0.06
# Of a picture's pixels: a rounded digit or two in its texts, and no bar or curve of another run.
UNLIKE_SHARE = 2e-4


def save(figure: Figure, path: Path) -> None:
    """Write a PNG as a notebook shows the figure: cut to what is drawn, at its own resolution."""
    figure.draw_without_rendering()  # as a notebook: the layout moves in the first drawing
    with atomic_write(path) as temporary:
        # No version of matplotlib in it: the same figure gives the same bytes.
        figure.savefig(
            temporary, format="png", dpi="figure", bbox_inches="tight", metadata={"Software": None}
        )


def read(png: Path | str) -> Picture:
    """A file's pixels, or those of a notebook's output (base64)."""
    source = png if isinstance(png, Path) else io.BytesIO(base64.b64decode(png))
    return matplotlib.image.imread(source, format="png")


def is_like(one: Picture, two: Picture) -> bool:
    """Whether both show the same, but for rounding."""
    return one.shape == two.shape and unlike_share(one, two) <= UNLIKE_SHARE


def unlike_share(one: Picture, two: Picture) -> float:
    """The share of pixels of either picture that the other has nothing like nearby.

    A mean difference would not do: a thin curve is a hundredth of its picture.
    """
    if np.array_equal(one, two):
        return 0.0
    unlike = _has_unlike(one, two) | _has_unlike(two, one)
    return float(unlike.mean())


def _has_unlike(one: Picture, two: Picture) -> NDArray[np.bool_]:
    """Whether a pixel (H, W) of `one` is outside the range of colours around it in `two`."""
    lowest, highest = two, two
    for axis in (0, 1):
        lowest = np.min([_shift(lowest, by, axis) for by in _SHIFTS], axis=0)
        highest = np.max([_shift(highest, by, axis) for by in _SHIFTS], axis=0)
    outside = (one < lowest - COLOUR_TOLERANCE) | (one > highest + COLOUR_TOLERANCE)
    return np.asarray(outside.any(axis=2))


_SHIFTS = range(-LARGEST_SHIFT, LARGEST_SHIFT + 1)


def _shift(picture: Picture, by: int, axis: int) -> Picture:
    """Moved by some pixels; the border is repeated."""
    index = np.clip(np.arange(picture.shape[axis]) + by, 0, picture.shape[axis] - 1)
    return picture.take(index, axis=axis)
