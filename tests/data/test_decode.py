"""Decoding all images in parallel: order, bounds, and errors that name the image."""

import io
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from alexnet.data import decode
from alexnet.data.decode import Failure, decode_items
from alexnet.data.index import Item

from .making import digits, png

PHOTO = load_sample_images().images[1]


def make_items(num):
    for index in range(num):
        yield Item(index, f"{index}.png", png(digits()[index]))


@pytest.mark.parametrize("num_workers", [1, 2])
def test_images_are_decoded_in_order(num_workers):
    chunks = list(decode_items(make_items(200), 200, 8, 1, num_workers))
    assert [index for indices, *_ in chunks for index in indices] == list(range(200))
    images = np.concatenate([images for _, images, _ in chunks])
    np.testing.assert_array_equal(images[..., 0], digits()[:200])


@pytest.mark.parametrize("num_workers", [1, 2])
def test_all_images_that_do_not_decode_are_named_and_the_others_decoded(num_workers):
    whole = png(PHOTO)
    other = io.BytesIO()  # a format that Pillow reads and IMAGE_FORMATS leaves out
    Image.fromarray(PHOTO).save(other, "PCX")
    broken = {0: whole[: len(whole) // 2], 7: b"no", 149: other.getvalue()}
    items = [
        replace(item, content=broken.get(item.index, item.content)) for item in make_items(150)
    ]
    chunks = list(decode_items(items, 150, 8, 1, num_workers))
    failures = [failure for chunk in chunks for failure in chunk.failures]
    assert [(failure.index, failure.name) for failure in failures] == [
        (0, "0.png"),
        (7, "7.png"),
        (149, "149.png"),
    ]
    assert [failure.reason.partition(";")[0] for failure in failures] == [
        "does not decode as an image: its end is missing",
        "is a text file, not an image",
        "is not an image of a format that is read, or its first bytes are damaged",
    ]
    others = np.delete(np.arange(150), list(broken))
    assert [index for chunk in chunks for index in chunk.indices] == others.tolist()
    images = np.concatenate([chunk.images for chunk in chunks])
    np.testing.assert_array_equal(images[..., 0], digits()[others])


def test_a_chunk_of_broken_images_alone():
    ((indices, images, failures),) = decode_items([Item(3, "x", b"")], 1, 8, 3, 1)
    assert (indices, images.shape, images.dtype) == ([], (0, 8, 8, 3), np.uint8)
    assert failures == [Failure(3, "x", "is empty; get it again")]


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
    assert [index for indices, *_ in chunks for index in indices] == list(range(10))


KILLED = """
import os, signal
from multiprocessing import active_children
from alexnet.data.decode import decode_items
from tests.data.test_decode import make_items
if __name__ == "__main__":
    chunks = decode_items(make_items(500), 500, 8, 1, num_workers=2)
    next(chunks)
    print(*(child.pid for child in active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_workers_end_with_a_process_that_is_killed(tmp_path):
    (tmp_path / "killed.py").write_text(KILLED)
    command = [sys.executable, tmp_path / "killed.py"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    # Its output ends with the last process that has it, so the workers end, too, or the time does.
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, env=environment)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(done.stdout.split()) == 2
