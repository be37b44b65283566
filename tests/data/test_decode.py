"""Decoding all images in parallel: order, bounds, and errors that name the image."""

import io

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from alexnet.data import decode
from alexnet.data.decode import decode_items
from alexnet.data.index import Item
from alexnet.errors import UserError

from .making import digits, png

PHOTO = load_sample_images().images[1]


def make_items(num):
    for index in range(num):
        yield Item(index, f"{index}.png", png(digits()[index]))


@pytest.mark.parametrize("num_workers", [1, 2])
def test_images_are_decoded_in_order(num_workers):
    chunks = list(decode_items(make_items(200), 200, 8, 1, num_workers))
    assert [index for indices, _ in chunks for index in indices] == list(range(200))
    images = np.concatenate([images for _, images in chunks])
    np.testing.assert_array_equal(images[..., 0], digits()[:200])


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("kind", ["truncated", "text", "pcx"])
def test_an_image_that_does_not_decode_is_named(num_workers, kind):
    whole = png(PHOTO)
    other = io.BytesIO()  # a format that Pillow reads and IMAGE_FORMATS leaves out
    Image.fromarray(PHOTO).save(other, "PCX")
    content = {"truncated": whole[: len(whole) // 2], "text": b"no", "pcx": other.getvalue()}[kind]
    items = [*make_items(150), Item(150, "cat/broken.png", content)]
    with pytest.raises(UserError, match=r"cat/broken\.png does not decode as an image"):
        list(decode_items(items, 151, 8, 1, num_workers))


def test_the_number_of_images_in_memory_is_bounded():
    num_read = 0

    def counted():
        nonlocal num_read
        for item in make_items(1500):
            num_read += 1
            yield item

    chunks = decode_items(counted(), 1500, 8, 1, num_workers=2)
    next(chunks)
    assert num_read <= 6 * decode.CHUNK_ITEMS
    chunks.close()


def test_large_images_make_smaller_chunks(monkeypatch):
    monkeypatch.setattr(decode, "CHUNK_BYTES", 400)
    chunks = list(decode_items(make_items(10), 10, 8, 1, 1))
    assert len(chunks) > 1
    assert [index for indices, _ in chunks for index in indices] == list(range(10))
