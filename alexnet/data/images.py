"""Decode one image of any format and size to the pixels that the network takes.

Training and inference share this module: an image gives the same pixels in both.
"""

import io
import warnings
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from alexnet.errors import UserError

Pixels = NDArray[np.uint8]

# Far more than any photograph; a small archive can claim to hold terabytes.
MAX_IMAGE_BYTES = 1 << 28
# More than a camera of 100 megapixels takes; decoded with transparency, half a gigabyte.
MAX_IMAGE_PIXELS = 1 << 27
# Pillow's name of each format, and the suffixes of its files. A file is opened as one of
# these whatever its suffix; formats that Pillow hands to another program (EPS) are left out.
IMAGE_FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
}
IMAGE_SUFFIXES = tuple(suffix for suffixes in IMAGE_FORMATS.values() for suffix in suffixes)
# Of Windows, macOS, Synology, Python and ext4, in lower case.
_SYSTEM_NAMES = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    *("__macosx", "icon\r", "@eadir", "#recycle", "__pycache__", "lost+found"),
}


def is_system_file(path: PurePath) -> bool:
    """Whether an operating system, Python or a version control wrote the file, not a person."""
    return any(part.startswith(".") or part.lower() in _SYSTEM_NAMES for part in path.parts)


def decode_image(content: bytes | Pixels, name: str, size: int, channels: int) -> Pixels:
    """Decode an image file's bytes, or take pixels uint8 (H, W, C); see `resize_and_crop`.

    Returns uint8 (size, size, channels). Raises UserError that names the image.
    """
    try:
        if isinstance(content, bytes):
            with _open(content) as image:
                if image.width * image.height > MAX_IMAGE_PIXELS:
                    raise UserError(
                        f"{image.width:,} x {image.height:,} pixels; at most "
                        f"{MAX_IMAGE_PIXELS:,} are decoded"
                    )
                return resize_and_crop(image, size, channels)
        pixels = content.squeeze(2) if content.shape[2] == 1 else content
        return resize_and_crop(Image.fromarray(pixels), size, channels)
    # On a damaged file Pillow raises exceptions of many types.
    except Exception as error:
        raise UserError(f"{name} does not decode as an image: {error}") from None


def _open(content: bytes) -> Image.Image:
    """Read the header; Pillow decodes later, and its warning of a large image is not for us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(content), formats=tuple(IMAGE_FORMATS))


def resize_and_crop(image: Image.Image, size: int, channels: int) -> Pixels:
    """`image` as uint8 (size, size, channels), grey for 1 channel and RGB for 3.

    The EXIF orientation is applied, transparent parts are laid over white, and 16-bit
    grey is divided by 257, so that white stays white. The middle square is resized with
    an antialiased bicubic filter: the result of resizing the short side and then cropping
    the centre, without computing what the crop drops. An image of that size keeps its
    pixels. Raises UserError for a 32-bit image, whose white is not defined.
    """
    image = ImageOps.exif_transpose(image)
    image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC, _middle_square(*image.size))
    return np.array(image).reshape(size, size, channels)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return Image.fromarray(
            ((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)
        )
    if image.mode in ("I", "F"):
        raise UserError("with 32 bits a pixel, white is not defined; save it with 8 or 16")
    return image


def _middle_square(width: int, height: int) -> tuple[float, float, float, float]:
    """Left, upper, right and lower edge, in pixels."""
    side = min(width, height)
    left, upper = (width - side) / 2, (height - side) / 2
    return left, upper, left + side, upper + side
