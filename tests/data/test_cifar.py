import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from alexnet.data.catalog import KNOWN
from alexnet.data.cifar import read_cifar
from alexnet.errors import UserError

from .making import write_tar

PHOTO = load_sample_images().images[0]
NUM_EACH = 4
FILES = {
    "cifar10": [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"],
    "cifar100": ["train.bin", "test.bin"],
}


def crop(index: int) -> np.ndarray:
    """uint8 (32, 32, 3), another one for each index."""
    return PHOTO[index * 7 : index * 7 + 32, index * 11 : index * 11 + 32]


def make_archive(path: Path, name: str, mode: str = "w:gz", **changes: bytes | None) -> Path:
    """The real layout: label byte(s), then three planes, which PIL splits for us."""
    files: dict[str, bytes] = {}
    index = 0
    for file in FILES[name]:
        body = io.BytesIO()
        for _ in range(NUM_EACH):
            body.write(bytes([99, index]) if name == "cifar100" else bytes([index % 10]))
            for plane in Image.fromarray(np.ascontiguousarray(crop(index))).split():
                body.write(plane.tobytes())
            index += 1
        files[file] = body.getvalue()
    files["readme.html"] = b"<html>"
    for key, content in changes.items():
        if content is None:
            del files[key]
        else:
            files[key] = content
    wrapped = {f"cifar-batches-bin/{file}": content for file, content in files.items()}
    return write_tar(path, dict(reversed(wrapped.items())), mode)  # in another order


@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_round_trip(tmp_path: Path, name: str, mode: str) -> None:
    listing = read_cifar(name, make_archive(tmp_path / "c", name, mode))
    num_images = NUM_EACH * len(FILES[name])
    modulus = 10 if name == "cifar10" else 256
    assert listing.labels.tolist() == [index % modulus for index in range(num_images)]
    expected = ["train"] * (num_images - NUM_EACH) + ["test"] * NUM_EACH
    assert listing.given.tolist() == expected
    assert listing.classes == KNOWN[name].classes
    seen = set()
    for item in listing.items():
        np.testing.assert_array_equal(item.content, crop(item.index))
        seen.add(item.index)
    assert seen == set(range(num_images))


def test_names_in_the_archive_count(tmp_path: Path) -> None:
    names = [f"n{k}" for k in range(10)]
    text = ("\n".join(names) + "\n\n").encode()
    path = make_archive(tmp_path / "c", "cifar10", **{"batches.meta.txt": text})
    assert read_cifar("cifar10", path).classes == tuple(names)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_batch_3.bin": None}, "data_batch_3.bin is expected but this archive lacks it"),
        ({"data_batch_3.bin": bytes(3073 * 2 - 1)}, "6,145 bytes are no whole number of records"),
        ({"data_batch_3.bin": b""}, "0 bytes are no whole number"),
        ({"test_batch.bin": bytes([11]) * 3073}, "labels up to 11; cifar10 has 10"),
        ({"batches.meta.txt": b"cat\ndog\n"}, "2 class names"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, changes: dict[str, bytes | None], message: str
) -> None:
    path = make_archive(tmp_path / "c", "cifar10", **changes)
    with pytest.raises(UserError, match=message):
        read_cifar("cifar10", path)


def test_the_python_version_is_refused(tmp_path: Path) -> None:
    names = [f"cifar-10-batches-py/data_batch_{i}" for i in range(1, 6)]
    path = write_tar(tmp_path / "cifar-10-python.tar.gz", dict.fromkeys(names, b"\x80\x02"), "w:gz")
    with pytest.raises(UserError, match=r"Python pickles; give cifar-10-binary\.tar\.gz"):
        read_cifar("cifar10", path)
