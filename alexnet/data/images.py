"""One image of any size and kind as the pixels that the network takes."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from alexnet.errors import UserError

Pixels = NDArray[np.uint8]


def resize_and_crop(image: Image.Image, size: int, channels: int) -> Pixels:
    """`image` as uint8 (size, size, channels), grey for 1 channel and RGB for 3.

    Turned as its EXIF orientation says; transparent parts over white; 16-bit grey
    divided by 257, so that white stays white. The middle square is resized to `size`
    with an antialiased bicubic filter (the same as short side first, then a centre
    crop, without computing what the crop would drop). An image that fits is not
    touched. Raises UserError for a 32-bit image, whose white is not defined.
    """
    image = ImageOps.exif_transpose(image)
    image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC, _middle_square(*image.size))
    return np.array(image).reshape(size, size, channels)


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray(
            ((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)
        )
    if image.mode in ("I", "F"):
        raise UserError("32 bits a pixel leave it open what is white; save it with 8 or 16")
    return image


def _middle_square(width: int, height: int) -> tuple[float, float, float, float]:
    """Left, upper, right and lower edge, in pixels."""
    side = min(width, height)
    left, upper = (width - side) / 2, (height - side) / 2
    return left, upper, left + side, upper + side
