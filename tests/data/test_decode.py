import io
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.io import ImageReadMode, decode_image

from alexnet.data import decode as module
from alexnet.data.decode import decode_items
from alexnet.data.images import decode_image as decode_one
from alexnet.data.index import Item
from alexnet.errors import UserError

from .making import digit, png

PHOTO = load_sample_images().images[1]


def items(num: int) -> Iterator[Item]:
    for index in range(num):
        yield Item(index, f"{index}.png", png(digit(index)))


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
def test_same_pixels_as_torchvision() -> None:
    pixels = PHOTO[100:132, 200:232]
    for kind in ("PNG", "JPEG"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        ours = decode_one(buffer.getvalue(), "x", 32, 3)
        encoded = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)
        theirs = decode_image(encoded, ImageReadMode.RGB).permute(1, 2, 0).numpy()
        # Two builds of libjpeg may round the colour conversion differently.
        assert np.abs(ours.astype(int) - theirs).max() <= (0 if kind == "PNG" else 3)


def test_raw_pixels_pass_through() -> None:
    pixels = digit(3)[:, :, None]
    np.testing.assert_array_equal(decode_one(pixels, "x", 8, 1), pixels)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_serial_and_parallel_give_the_same(num_workers: int) -> None:
    seen = []
    for indices, images in decode_items(items(200), 200, 8, 1, num_workers):
        for index, image in zip(indices, images, strict=True):
            np.testing.assert_array_equal(image[..., 0], digit(index))
            seen.append(index)
    assert seen == list(range(200))


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("kind", ["truncated", "text", "pcx"])
def test_an_image_that_does_not_decode_is_named(num_workers: int, kind: str) -> None:
    whole = png(PHOTO)
    other = io.BytesIO()  # a format of Pillow's that is none of ours
    Image.fromarray(PHOTO).save(other, "PCX")
    content = {
        "truncated": whole[: len(whole) // 2],
        "text": b"not an image",
        "pcx": other.getvalue(),
    }[kind]

    def broken() -> Iterator[Item]:
        yield from items(150)
        yield Item(150, "cat/broken.png", content)

    with pytest.raises(UserError, match=r"cat/broken\.png does not decode as an image"):
        list(decode_items(broken(), 151, 8, 1, num_workers))


def test_images_in_flight_are_bounded() -> None:
    num_read = 0

    def counted() -> Iterator[Item]:
        nonlocal num_read
        for item in items(1500):
            num_read += 1
            yield item

    chunks = decode_items(counted(), 1500, 8, 1, num_workers=2)
    next(chunks)
    assert num_read <= 6 * module.CHUNK_ITEMS
    chunks.close()  # type: ignore[attr-defined]


def test_large_images_make_smaller_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 400)
    chunks = list(decode_items(items(10), 10, 8, 1, 1))
    assert len(chunks) > 1
    assert [index for indices, _ in chunks for index in indices] == list(range(10))
