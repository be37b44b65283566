"""A file that has lost its end is refused; what follows the end does not matter."""

import numpy as np
import pytest
from PIL import Image

from alexnet.data.images import ImageError, decode_image

from .encoding import after_header, chunk, encode

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
FILES = {
    "PNG": encode(NOISE),
    "PNG, few values": encode(NOISE.point(lambda value: value // 32)),
    "PNG, a damaged text": after_header(encode(NOISE), chunk(b"tEXt", b"a\0b")[:-1] + b"?"),
    "JPEG": encode(NOISE, "JPEG"),
    "JPEG, progressive": encode(NOISE, "JPEG", progressive=True),
    "JPEG, several": encode(NOISE, "MPO", save_all=True, append_images=[NOISE]),
    "JPEG, restarts": encode(NOISE, "JPEG", restart_marker_rows=1),
    "GIF": encode(NOISE, "GIF"),
    "TIFF, LZW": encode(NOISE, "TIFF", compression="tiff_lzw"),
    "TIFF, Deflate": encode(NOISE, "TIFF", compression="tiff_deflate"),
}
VIDEO = b"\0\0\0\x18ftypmp42\xff\xda\0\0"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
def test_zeros_in_place_of_the_end_are_refused(name, share):
    content = FILES[name]
    first = content[: content.rindex(b"\xff\xd8")] if name == "JPEG, several" else content
    kept = first[: int(share * len(first))]
    with pytest.raises(ImageError, match=r"end is missing|is damaged"):
        decode_image(kept + bytes(len(content) - len(kept)), "x", 64, 3)


@pytest.mark.parametrize("tail", [b"\0\0", VIDEO])
@pytest.mark.parametrize("name", FILES)
def test_what_follows_the_end_does_not_matter(name, tail):
    alone = decode_image(FILES[name], "x", 64, 3)
    np.testing.assert_array_equal(decode_image(FILES[name] + tail, "x", 64, 3), alone)
