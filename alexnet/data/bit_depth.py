"""The pixels of a Pillow image as 8 bits a value, with what Pillow leaves to its caller.

The numbers of tags are those of TIFF 6.0 (Adobe, 1992).
"""

from typing import Any

import numpy as np
from PIL import Image

from alexnet.errors import UserError

SUBFILE_TYPE, BITS, PHOTOMETRIC, PLANES, SAMPLE_FORMAT = 254, 258, 262, 284, 339
YCBCR_SUBSAMPLING, DNG_VERSION = 530, 50706
WHITE_IS_ZERO, YCBCR, SIGNED = 0, 6, 2


def refuse_misread(image: Image.Image) -> None:
    """Raises UserError for an image, not loaded yet, of which Pillow would give other pixels."""
    tags = _tags(image)
    is_raw = image.info.get("compression") == "raw"
    if DNG_VERSION in tags or tags.get(SUBFILE_TYPE, 0) & 1:
        raise UserError("its first page is a thumbnail, as in a raw photo; save the photo as JPEG")
    if SIGNED in tags.get(SAMPLE_FORMAT, ()):
        raise UserError("of signed values, white is not defined; save it with unsigned ones")
    if is_raw and tags.get(PLANES) == 2 and max(tags.get(BITS, (1,))) > 8:
        raise UserError("16 bits in separate planes are not read; save it with 8, or as PNG")
    if is_raw and tags.get(PHOTOMETRIC) == YCBCR and tags.get(YCBCR_SUBSAMPLING) != (1, 1):
        raise UserError("uncompressed, subsampled YCbCr is not read; save it as RGB or JPEG")
    if image.format == "PNG" and image.mode == "P" and image.palette is None:
        raise UserError("its palette is missing; get the file again")


def fix_transparency(image: Image.Image) -> None:
    """Bring the transparent value of a PNG to the scale of the pixels, before it is loaded.

    Raises UserError for the transparent colour of one with 16 bits, of which Pillow reads 8.
    """
    value = image.info.get("transparency")
    tiles = getattr(image, "tile", None)  # none once it is loaded: the value is taken as it is
    if image.format == "PNG" and value is not None and tiles:
        rawmode = tiles[0][3]
        if rawmode == "RGB;16B":
            raise UserError("a transparent colour with 16 bits is not read; save it with 8")
        image.info["transparency"] = value * {"L;2": 85, "L;4": 17}.get(rawmode, 1)


def to_eight_bits(image: Image.Image) -> Image.Image:
    """A loaded image in a mode of 8 bits a value that Pillow can convert.

    Grey of 9 to 16 bits is scaled, so that white stays white. Raises UserError for 32 bits.
    """
    # Pillow reads a PGM with more than 8 bits as 32, of which it uses 16.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return _from_sixteen_bits(image)
    if image.mode in ("I", "F"):
        raise UserError("with 32 bits a pixel, white is not defined; save it with 8 or 16")
    # A bitmap of 32 bits whose fourth byte nobody has set.
    if image.format == "BMP" and image.mode == "RGBA" and not image.getchannel("A").getbbox():
        return image.convert("RGB")
    mode = {"La": "LA", "LAB": "RGB"}.get(image.mode)
    return image.convert(mode) if mode else image


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    tags = _tags(image)
    white = 4095 if tags.get(BITS) == (12,) else 65535
    values = np.asarray(image).astype(np.uint32)
    transparent = values == image.info.get("transparency", -1)
    values *= 255
    values += white // 2
    values //= white
    grey = values.astype(np.uint8)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        grey = 255 - grey
    grey[transparent] = 255
    return Image.fromarray(grey)


def _tags(image: Image.Image) -> Any:
    return getattr(image, "tag_v2", {})
