"""Odd image files: the exact pixels, or an error that names what they are; and a silent stderr."""

import os
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torchvision.io import ImageReadMode
from torchvision.io import decode_image as torchvision_decode

from alexnet.data.images import ImageError, decode_image

from .encoding import cmyk_jpeg
from .odd_images import exact_inputs, refused_inputs

EXACT, REFUSED = exact_inputs(), refused_inputs()


def decode(name):
    content, expected = EXACT[name]
    shape = np.shape(expected)
    pixels = decode_image(content, name, shape[0], 3 if len(shape) == 3 else 1)
    return pixels.reshape(shape).tolist()


@pytest.mark.parametrize("name", EXACT)
def test_the_pixels_are_those_of_the_file(name):
    assert decode(name) == EXACT[name][1]


@pytest.mark.parametrize("name", REFUSED)
def test_the_message_says_what_the_file_is(name):
    content, message = REFUSED[name]
    with pytest.raises(ImageError) as caught:
        decode_image(content, "cat/7.jpg", 8, 3)
    assert re.search(message, str(caught.value)), caught.value
    assert str(caught.value).startswith("cat/7.jpg ")
    assert "object at 0x" not in str(caught.value)


def test_the_libraries_write_nothing(capfd):
    """Neither Pillow's warnings and log nor what libtiff says in C."""
    for content, *_ in [*EXACT.values(), *REFUSED.values()]:
        try:
            decode_image(content, "x", 8, 3)
        except ImageError:
            continue
    assert capfd.readouterr() == ("", "")


def test_threads_decode_at_once(capfd):
    """The warnings of one do not reach another, and what it writes itself to stderr is not lost."""
    odd = {name: content for name, (content, *_) in [*EXACT.items(), *REFUSED.items()]}

    def decode_all(number):
        found = {}
        for name, content in odd.items():
            os.write(2, b"mine\n")
            try:
                found[name] = decode_image(content, "x", 8, 3).tobytes()
            except ImageError as error:
                found[name] = str(error)
        return found

    filters, expected = list(warnings.filters), decode_all(0)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(decode_all, range(8))) == [expected] * 8
    assert warnings.filters == filters
    assert capfd.readouterr() == ("", "mine\n" * 9 * len(odd))


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
@pytest.mark.parametrize("transform", [0, 2])
def test_cmyk_equals_torchvisions(transform):
    content = cmyk_jpeg(180, 90, 140, 200, transform=transform)
    encoded = torch.frombuffer(bytearray(content), dtype=torch.uint8)
    reference = torchvision_decode(encoded, ImageReadMode.RGB).permute(1, 2, 0).numpy()
    assert np.abs(decode_image(content, "x", 8, 3).astype(int) - reference).max() <= 3
