"""Decode one image of any format and size to the pixels that the network takes.

Training and inference share this module: an image gives the same pixels in both.
"""

import ctypes
import io
import logging
import re
import threading
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePath
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from alexnet.data.bit_depth import fix_transparency, refuse_misread, to_eight_bits
from alexnet.data.file_kinds import name_kind, name_unknown
from alexnet.data.image_ends import GET, PNG_SIGNATURE, check_end, without_metadata
from alexnet.errors import UserError

Pixels = NDArray[np.uint8]
ResizeMethod = Literal["bicubic", "torchvision"]  # data.resize

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
_SIGNATURES: dict[str, bytes | tuple[bytes, ...]] = {
    "JPEG": b"\xff\xd8",
    "PNG": PNG_SIGNATURE,
    "BMP": b"BM",
    "GIF": b"GIF8",
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "WebP": b"RIFF",
    "PNM": (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"),
}
_LIMIT = "at most {:,} are decoded; make the image smaller"
_SAVE = "get it again, or save it as an ordinary JPEG or PNG"
_UPRIGHT = {  # EXIF's orientation: what turns the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Of Windows, macOS, Synology, Python and ext4, in lower case.
_SYSTEM_NAMES = {
    *("thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information"),
    *("__macosx", "icon\r", "@eadir", "#recycle", "__pycache__", "lost+found"),
}


def is_system_file(path: PurePath) -> bool:
    """Whether an operating system, Python or a version control wrote the file, not a person."""
    return any(
        part.startswith(".")
        or part.lower() in _SYSTEM_NAMES
        or part.endswith(":Zone.Identifier")  # beside a file that WSL copied from Windows
        for part in path.parts
    )


class ImageError(UserError):
    """An image that is not read. The message is its name and the reason: "cat/7.jpg is empty"."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name, self.reason = name, reason


class _IgnoredWarnings:
    """Warnings are ignored while any thread is in the block.

    `warnings.catch_warnings` alone brings back what it has found: the filters of another thread.
    """

    def __init__(self) -> None:
        self._lock, self._num_threads = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if not self._num_threads:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.simplefilter("ignore")
            self._num_threads += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._num_threads -= 1
            if not self._num_threads:
                self._caught.__exit__(None, None, None)


_ignored_warnings = _IgnoredWarnings()


def decode_image(
    content: bytes | Pixels | Image.Image,
    name: str,
    size: int,
    channels: int,
    max_pixels: int = MAX_IMAGE_PIXELS,
    method: ResizeMethod = "bicubic",
) -> Pixels:
    """Decode an image file's bytes, or take pixels uint8 (H, W, C); see `resize_and_crop`.

    Of several frames or pages it is the first. Metadata (EXIF, text, a colour profile) never
    decides whether an image is read. max_pixels: of a file. A Pillow image is taken as it is in
    memory. Returns uint8 (size, size, channels). Raises ImageError. Threads may decode at once.
    """
    _silence_libraries()
    with _ignored_warnings:  # Pillow warns of what it reads all the same: damaged metadata
        try:
            if isinstance(content, bytes):
                if kind := name_kind(content):
                    raise ImageError(name, f"is {kind}")
                return _decode_file(content, size, channels, max_pixels, method)
            if not isinstance(content, Image.Image):
                content = Image.fromarray(content.squeeze(2) if content.shape[2] == 1 else content)
            return resize_and_crop(content, size, channels, method)
        except ImageError:
            raise
        # On a damaged file Pillow raises exceptions of many types.
        except Exception as error:
            raise ImageError(name, _explain(error, content, max_pixels)) from None


def _decode_file(
    content: bytes, size: int, channels: int, max_pixels: int, method: ResizeMethod
) -> Pixels:
    try:
        with Image.open(io.BytesIO(content), formats=tuple(IMAGE_FORMATS)) as image:
            if image.width * image.height > max_pixels:
                limit = _LIMIT.format(max_pixels)
                raise UserError(f"{image.width:,} x {image.height:,} pixels; {limit}")
            pixels = resize_and_crop(image, size, channels, method)
            check_end(content, image.format)
            return pixels
    except Exception:
        # Pillow refuses a PNG for a damaged or a very long text beside intact pixels.
        if content.startswith(PNG_SIGNATURE) and (less := without_metadata(content)) != content:
            return _decode_file(less, size, channels, max_pixels, method)
        raise


def _explain(error: Exception, content: object, max_pixels: int) -> str:
    """What is wrong with an image, for people; Pillow's words where they say it."""
    if isinstance(error, UnidentifiedImageError) and isinstance(content, bytes):
        for name, signature in _SIGNATURES.items():
            if content.startswith(signature):
                return f"is a {name} image that is damaged, or of a kind that is not read; {_SAVE}"
        return f"is {name_unknown(content)}"
    reason = str(error)
    if isinstance(error, Image.DecompressionBombError):
        reason = f"too many pixels; {_LIMIT.format(max_pixels)}"
    elif "truncated" in reason.lower():
        reason = f"its end is missing; {GET}"
    elif reason.startswith(("decoder error", "could not create decoder", "broken data stream")):
        reason = f"its data is damaged; {GET}"
    return f"does not decode as an image: {reason}"


@cache
def _silence_libraries() -> None:
    """Pillow raises an exception for what it logs as well, and for what libtiff writes to stderr.

    libtiff itself is silenced: to exchange stderr would silence the other threads, too.
    """
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    with suppress(OSError):  # no /proc
        maps = Path("/proc/self/maps").read_text()
        for path in set(re.findall(r"/.*/libtiff[^/ \n]*", maps)):  # Pillow has loaded it
            libtiff = ctypes.CDLL(path)
            libtiff.TIFFSetErrorHandler(None)
            libtiff.TIFFSetWarningHandler(None)


def resize_and_crop(
    image: Image.Image, size: int, channels: int, method: ResizeMethod = "bicubic"
) -> Pixels:
    """`image` as uint8 (size, size, channels), grey for 1 channel and RGB for 3.

    The EXIF orientation is applied, transparent parts are laid over white, and 16-bit
    grey is divided by 257, so that white stays white. The short side is resized, with an
    antialiased filter, and the centre cropped, without computing what the crop drops. An image
    of that size keeps its pixels.

    method: bicubic, of the middle square. Or torchvision: as its Resize(size) and
    CenterCrop(size) do (bilinear; the long side and the place of the crop are whole pixels), to
    1 of 255. The centre of `size` - 4n pixels is then that of its CenterCrop(`size` - 4n).

    Raises UserError for pixels whose white is not defined, or that Pillow misreads.
    """
    refuse_misread(image)
    fix_transparency(image)
    image.load()
    orientation = _orientation(image)
    image = to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    if image.mode != (mode := "L" if channels == 1 else "RGB"):  # it would be copied all the same
        image = image.convert(mode)
    if orientation is not None:
        image = image.transpose(orientation)
    if image.size != (size, size):
        if method == "bicubic":
            resampling, box = Image.Resampling.BICUBIC, _middle_square(*image.size)
        else:
            resampling, box = Image.Resampling.BILINEAR, _torchvision_square(*image.size, size)
        image = image.resize((size, size), resampling, box)
    return np.array(image).reshape(size, size, channels)


def _orientation(image: Image.Image) -> Image.Transpose | None:
    """How to turn a loaded image upright; not at all if its EXIF block is damaged."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # of many types
        return None
    return _UPRIGHT.get(value) if isinstance(value, int) else None


def _middle_square(width: int, height: int) -> tuple[float, float, float, float]:
    """Left, upper, right and lower edge, in pixels."""
    side = min(width, height)
    left, upper = (width - side) / 2, (height - side) / 2
    return left, upper, left + side, upper + side


def _torchvision_square(width: int, height: int, size: int) -> tuple[float, float, float, float]:
    """The part of the image that Resize(size) and CenterCrop(size) keep; edges as above."""
    resized = [(side, size * side // min(width, height)) for side in (width, height)]
    left, upper = (round((new - size) / 2) * side / new for side, new in resized)  # half to even
    right, lower = ((round((new - size) / 2) + size) * side / new for side, new in resized)
    return left, upper, right, lower
