"""Odd image files: their pixels as text, or why they are not read; then whole folders of them."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.data.images import decode_image
from tests.data.making import make_files, write_folder
from tests.data.odd_images import exact_inputs, refused_inputs
from tests.odd.case import Case, Changes

EXACT, REFUSED = exact_inputs(), refused_inputs()


def short(pixels: Any) -> str:
    """The first four pixels, and the sum of all."""
    array = np.array(pixels)
    first = array.reshape(-1, *array.shape[2:])[:4].tolist()
    return f"{' '.join(str(pixel) for pixel in first)} sum {array.sum()}"


def decoded(folder: Path, content: bytes, expected: Any = ((0,),)) -> str:
    shape = np.shape(expected)
    pixels = decode_image(content, "cat/7.jpg", shape[0], 3 if len(shape) == 3 else 1)
    return short(pixels.reshape(shape))


def given(content: bytes, folder: Path) -> bytes:
    return content


def broken_folder(on_bad_image: str) -> Callable[[Path], Changes]:
    def make(folder: Path) -> Changes:
        files = make_files(8) | {"cat/003.png": b"", "dog/001.png": REFUSED["HEIC"][0]}
        return {"source": str(write_folder(folder / "images", files)), "on_bad_image": on_bad_image}

    return make


def pattern(pixels: Any) -> str:
    return f"^{short(pixels)}$".replace("[", r"\[").replace("]", r"\]")


CASES = [
    *(
        Case(
            f"image: {name}",
            partial(given, content),
            pattern(pixels),
            partial(decoded, expected=pixels),
        )
        for name, (content, pixels) in EXACT.items()
    ),
    *(
        Case(f"image: {name}", partial(given, content), f"^error: .*{message}", decoded)
        for name, (content, message) in REFUSED.items()
    ),
    Case(
        "broken images: error",
        broken_folder("error"),
        "(?s)^error: .*: 2 of 16 images cannot be read:.*003.png is empty.*dog/001.png is a HEIC",
    ),
    Case("broken images: skip", broken_folder("skip"), "^14 images of cat, dog$"),
]
