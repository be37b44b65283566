"""What a program may give the Python API, and how a wrong argument is named."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from alexnet.data.images import MAX_IMAGE_BYTES
from alexnet.errors import UserError

# A path, the content of a file, a Pillow image, or pixels uint8 (H, W) or (H, W, C) of any size.
ImageInput = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]


def check_whole(name: str, value: object, lowest: int, highest: int | None = None) -> None:
    """Raises UserError unless `value` is a whole number from `lowest` to `highest`."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < lowest or (highest is not None and value > highest):  # type: ignore[operator]
        limits = f"of {lowest} or more" if highest is None else f"from {lowest} to {highest}"
        raise UserError(f"{name} is {value!r}; give a whole number {limits}")


def check_many(images: object) -> None:
    """Raises UserError for one image where many are expected: it would pass for its rows."""
    is_pixels = isinstance(images, np.ndarray) and images.ndim < 4
    if is_pixels or isinstance(images, str | bytes | os.PathLike | Image.Image):
        raise UserError("many images are expected, as a list; classify takes one")


def check_prepared(images: object, shape: tuple[int, int, int]) -> None:
    """Raises UserError unless `images` are uint8 (N, *shape)."""
    if isinstance(images, np.ndarray):
        if images.dtype == np.uint8 and images.shape[1:] == shape and len(images):
            return
        given = f"an array {images.dtype} {images.shape}"
    else:
        given = f"of the type {type(images).__name__}"
    wanted = f"uint8 (number, {', '.join(map(str, shape))})"
    raise UserError(f"the images are {given}; stack those of prepare by np.stack: {wanted}")


def read_input(image: ImageInput, name: str) -> tuple[bytes | Image.Image | NDArray[np.uint8], str]:
    """The content of a file, a Pillow image or pixels (H, W, C), and its name in messages.

    Raises UserError that names the image if it is missing, or is nothing of the kind.
    """
    if isinstance(image, str | os.PathLike):
        return _read(image), os.fspath(image)
    if isinstance(image, np.ndarray):
        return _with_channels(image, name), name
    if isinstance(image, Image.Image) and 0 in image.size:
        raise UserError(f"{name} has no pixels")
    if not isinstance(image, bytes | Image.Image):
        raise UserError(
            f"{name} is of the type {type(image).__name__}; give a path, the bytes of a file, "
            "a Pillow image or a uint8 array"
        )
    return image, name


def name_of(image: ImageInput, index: int) -> str:
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"images[{index}]"


def _read(name: str | os.PathLike[str]) -> bytes:
    """Raises UserError if there is no such file, or it has more bytes than an image."""
    if not os.fspath(name):
        raise UserError("the name of an image is empty")
    path = Path(name)
    try:
        if not path.is_file():
            raise UserError(f"{path} does not exist, or is not a file; give images")
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise UserError(f"{path} has more than {MAX_IMAGE_BYTES:,} bytes; make it smaller")
        return path.read_bytes()
    except (OSError, UnicodeEncodeError) as error:  # a name may be too long, or no text
        reason = error.strerror if isinstance(error, OSError) else "its name is no text"
        raise UserError(f"{path} cannot be read: {reason}") from None


def _with_channels(pixels: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Pixels uint8 (H, W, C). Raises UserError if that is not what they are."""
    shape = (*pixels.shape, 1) if pixels.ndim == 2 else pixels.shape
    if pixels.dtype != np.uint8 or len(shape) != 3 or 0 in shape or shape[2] > 4:
        raise UserError(
            f"{name} is an array {pixels.dtype} {pixels.shape}; give uint8, height x width, or "
            "height x width x channels with grey, grey and alpha, RGB, or RGB and alpha"
        )
    return pixels.reshape(shape)
