"""One image of any mode, size and format becomes the same pixels as by torch and torchvision."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.io import ImageReadMode
from torchvision.io import decode_image as torchvision_decode
from torchvision.transforms import v2

from alexnet.data.images import IMAGE_FORMATS, decode_image, resize_and_crop
from alexnet.errors import UserError

PHOTO = load_sample_images().images[0]  # uint8 (427, 640, 3)


def encode(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
@pytest.mark.parametrize(("kind", "tolerance"), [("PNG", 0), ("JPEG", 3)])
def test_decoding_equals_torchvisions(kind, tolerance):
    content = encode(Image.fromarray(PHOTO[100:132, 200:232]), kind)
    encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    reference = torchvision_decode(encoded, ImageReadMode.RGB).permute(1, 2, 0).numpy()
    # Two builds of libjpeg may round the colour conversion differently.
    difference = np.abs(decode_image(content, "x", 32, 3).astype(int) - reference)
    assert difference.max() <= tolerance


def test_suffixes_are_those_of_pillows_formats():
    formats = Image.registered_extensions()
    for name, suffixes in IMAGE_FORMATS.items():
        assert {formats[suffix] for suffix in suffixes} == {name}


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_of_the_right_size_are_unchanged(channels):
    square = PHOTO[:227, :227, :channels]
    np.testing.assert_array_equal(decode_image(square, "x", 227, channels), square)


@pytest.mark.parametrize("turned", [False, True])
def test_equals_torchvisions_resize_and_centre_crop(turned):
    """At a ratio of sides where torchvision's sizes need no rounding."""
    pixels = PHOTO[:320].transpose(1, 0, 2) if turned else PHOTO[:320]
    image = Image.fromarray(np.ascontiguousarray(pixels))  # 640x320 -> 64x32 -> 32x32
    reference = v2.Compose(
        [v2.Resize(32, v2.InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(32)]
    )
    difference = np.abs(resize_and_crop(image, 32, 3).astype(int) - np.asarray(reference(image)))
    assert difference.max() <= 1  # both round between their two passes


@pytest.mark.parametrize("size", [8, 32, 227, 500])
def test_equals_torchs_interpolation_of_the_middle_square(size):
    pixels = PHOTO[:426]  # 640x426: its middle square begins at column 107
    square = torch.from_numpy(pixels[:, 107:533].copy()).permute(2, 0, 1)[None]
    reference = F.interpolate(square, (size, size), mode="bicubic", antialias=True)
    ours = resize_and_crop(Image.fromarray(pixels), size, 3).astype(int)
    assert ours.shape == (size, size, 3)
    # At the left and right edge, ours reads pixels outside the square.
    difference = np.abs(ours - reference[0].permute(1, 2, 0).numpy())[:, 3:-3]
    assert difference.max() <= 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 2)])
@pytest.mark.parametrize("method", ["bicubic", "torchvision"])
def test_extreme_shapes(shape, method):
    image = Image.fromarray(np.full(shape, 77, np.uint8))
    np.testing.assert_array_equal(resize_and_crop(image, 32, 1, method), np.full((32, 32, 1), 77))


def test_colour_becomes_grey_by_bt601_and_grey_is_repeated():
    grey = resize_and_crop(Image.new("RGB", (4, 4), (200, 100, 50)), 4, 1)
    assert set(grey.ravel()) == {round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)}
    assert (resize_and_crop(Image.new("L", (4, 4), 9), 4, 3) == np.full((4, 4, 3), 9)).all()


def test_transparent_parts_become_white():
    pixels = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 0, 0, 51]]] * 3, np.uint8)
    result = resize_and_crop(Image.fromarray(pixels), 3, 3)
    assert result[0].tolist() == [[255, 255, 255], [10, 20, 30], [204, 204, 204]]

    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "L").convert("P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    result = decode_image(encode(image, transparency=0), "palette", 2, 3)
    assert result.tolist() == [[[255] * 3, [0, 0, 255]], [[0, 0, 255], [255] * 3]]


def test_sixteen_bits_keep_black_and_white():
    values = np.array([[0, 65535], [257 * 128, 300]], np.uint16)
    content = encode(Image.fromarray(values))
    assert decode_image(content, "x", 2, 1)[..., 0].tolist() == [[0, 255], [128, 1]]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_thirty_two_bits_are_an_error(mode):
    with pytest.raises(UserError, match="32 bits a pixel"):
        resize_and_crop(Image.new(mode, (4, 4)), 4, 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_gives_the_same_dtype_and_shape(mode, channels):
    result = resize_and_crop(Image.fromarray(PHOTO).convert(mode), 32, channels)
    assert (result.shape, result.dtype) == ((32, 32, channels), np.uint8)


def test_the_exif_orientation_is_applied():
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:8] = 255  # the upper half, as stored
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # the stored top is the right side
    result = decode_image(encode(image, exif=exif), "x", 16, 1)[..., 0]
    np.testing.assert_array_equal(result, pixels.T[:, ::-1])
