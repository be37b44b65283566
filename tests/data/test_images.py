import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.transforms import v2

from alexnet.data.images import resize_and_crop
from alexnet.errors import UserError

PHOTO = load_sample_images().images[0]  # uint8 (427, 640, 3)


def test_an_image_that_fits_is_not_touched() -> None:
    square = PHOTO[:227, :227]
    np.testing.assert_array_equal(resize_and_crop(Image.fromarray(square), 227, 3), square)


@pytest.mark.parametrize("turned", [False, True])
def test_equals_torchvision_resize_and_centre_crop_where_that_rounds_nothing(turned: bool) -> None:
    pixels = PHOTO[:320].transpose(1, 0, 2) if turned else PHOTO[:320]
    image = Image.fromarray(np.ascontiguousarray(pixels))  # 640x320 -> 64x32 -> 32x32
    reference = v2.Compose(
        [v2.Resize(32, v2.InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(32)]
    )
    difference = np.abs(resize_and_crop(image, 32, 3).astype(int) - np.asarray(reference(image)))
    assert difference.max() <= 1  # both round between their two passes


@pytest.mark.parametrize("size", [8, 32, 227, 500])
def test_equals_torch_interpolation_of_the_middle_square_at_any_size(size: int) -> None:
    pixels = PHOTO[:426]  # 640x426: its middle square begins at column 107
    square = torch.from_numpy(pixels[:, 107:533].copy()).permute(2, 0, 1)[None]
    reference = F.interpolate(square, (size, size), mode="bicubic", antialias=True)
    ours = resize_and_crop(Image.fromarray(pixels), size, 3).astype(int)
    assert ours.shape == (size, size, 3)
    # Left and right, ours sees what lies beyond the square, which the reference cannot.
    difference = np.abs(ours - reference[0].permute(1, 2, 0).numpy())[:, 3:-3]
    assert difference.max() <= 2


def test_the_middle_is_kept() -> None:
    pixels = np.zeros((10, 30), np.uint8)
    pixels[:, 10:20] = 255
    assert resize_and_crop(Image.fromarray(pixels), 10, 1).min() == 255


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 2)])
def test_extreme_shapes(shape: tuple[int, int]) -> None:
    image = Image.fromarray(np.full(shape, 77, np.uint8))
    np.testing.assert_array_equal(resize_and_crop(image, 32, 1), np.full((32, 32, 1), 77))


def test_colour_to_grey_and_back_follow_bt601() -> None:
    colour = Image.new("RGB", (4, 4), (200, 100, 50))
    assert set(resize_and_crop(colour, 4, 1).ravel()) == {
        round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    }
    np.testing.assert_array_equal(
        resize_and_crop(Image.new("L", (4, 4), 9), 4, 3), np.full((4, 4, 3), 9)
    )


def test_transparent_parts_lie_over_white() -> None:
    pixels = np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 0, 0, 51]]] * 3, np.uint8)
    fitted = resize_and_crop(Image.fromarray(pixels), 3, 3)
    assert fitted[0].tolist() == [[255, 255, 255], [10, 20, 30], [204, 204, 204]]


def test_palette_with_a_transparent_colour() -> None:
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "L").convert("P")
    image.putpalette([255, 0, 0, 0, 0, 255])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=0)
    fitted = resize_and_crop(Image.open(buffer), 2, 3)
    assert fitted.tolist() == [[[255] * 3, [0, 0, 255]], [[0, 0, 255], [255] * 3]]


def test_sixteen_bits_keep_black_and_white() -> None:
    values = np.array([[0, 65535], [257 * 128, 300]], np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    assert resize_and_crop(Image.open(buffer), 2, 1)[..., 0].tolist() == [[0, 255], [128, 1]]


@pytest.mark.parametrize("mode", ["I", "F"])
def test_thirty_two_bits_are_refused(mode: str) -> None:
    with pytest.raises(UserError, match="32 bits a pixel"):
        resize_and_crop(Image.new(mode, (4, 4)), 4, 1)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_gives_the_same_kind_of_array(mode: str, channels: int) -> None:
    fitted = resize_and_crop(Image.fromarray(PHOTO).convert(mode), 32, channels)
    assert (fitted.shape, fitted.dtype) == ((32, 32, channels), np.uint8)


def test_a_photograph_is_turned_as_its_camera_says() -> None:
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:8] = 255  # the upper half, as stored
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # the stored top is the right side
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    fitted = resize_and_crop(Image.open(buffer), 16, 1)[..., 0]
    np.testing.assert_array_equal(fitted, pixels.T[:, ::-1])
