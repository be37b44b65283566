"""CIFAR's binary archives: a label byte (or two), then the planes R, G and B."""

import tarfile

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from alexnet.data.catalog import DATASETS
from alexnet.data.cifar import read_cifar
from alexnet.errors import UserError

from .making import write_folder, write_tar

PHOTO = load_sample_images().images[0]
NUM_EACH = 4
FILES = {
    "cifar10": [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"],
    "cifar100": ["train.bin", "test.bin"],
}


def crop(index):
    """uint8 (32, 32, 3), another one for each index."""
    return PHOTO[index * 7 : index * 7 + 32, index * 11 : index * 11 + 32]


def make_record(name, index):
    """Pillow splits the planes, an independent reference."""
    planes = Image.fromarray(np.ascontiguousarray(crop(index))).split()
    label = bytes([99, index]) if name == "cifar100" else bytes([index % 10])
    return label + b"".join(plane.tobytes() for plane in planes)


def make_archive(path, name, mode="w:gz", **changes):
    """The published layout; a change of None removes a file."""
    files = {"readme.html": b"<html>"}
    for number, file in enumerate(FILES[name]):
        rows = range(number * NUM_EACH, (number + 1) * NUM_EACH)
        files[file] = b"".join(make_record(name, index) for index in rows)
    files = {f"cifar-batches-bin/{k}": v for k, v in (files | changes).items() if v is not None}
    return write_tar(path, dict(reversed(files.items())), mode)  # in another order


@pytest.mark.parametrize("mode", ["w:gz", "w"])
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_images_labels_and_splits_are_read(tmp_path, name, mode):
    index = read_cifar(name, make_archive(tmp_path / "c", name, mode))
    num_images = NUM_EACH * len(FILES[name])
    modulus = 10 if name == "cifar10" else 256
    assert index.labels.tolist() == [row % modulus for row in range(num_images)]
    assert index.split.tolist() == ["train"] * (num_images - NUM_EACH) + ["test"] * NUM_EACH
    assert index.classes == DATASETS[name].classes
    images = {item.index: item.content for item in index.items()}
    assert sorted(images) == list(range(num_images))
    for row, image in images.items():
        np.testing.assert_array_equal(image, crop(row))


def test_class_names_come_from_the_archive(tmp_path):
    names = [f"n{k}" for k in range(10)]
    text = ("\n".join(names) + "\n\n").encode()
    path = make_archive(tmp_path / "c", "cifar10", **{"batches.meta.txt": text})
    assert read_cifar("cifar10", path).classes == tuple(names)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data_batch_3.bin": None},
            "data_batch_3.bin is expected, but is not in it; give cifar-10",
        ),
        ({"data_batch_3.bin": bytes(3073 * 2 - 1)}, "6,145 bytes are not a whole number of record"),
        ({"data_batch_3.bin": b""}, "0 bytes are not a whole number"),
        ({"test_batch.bin": bytes([11]) * 3073}, "labels up to 11; cifar10 has 10"),
        ({"batches.meta.txt": b"cat\ndog\n"}, "2 class names"),
    ],
)
def test_an_invalid_archive_is_an_error(tmp_path, changes, message):
    path = make_archive(tmp_path / "c", "cifar10", **changes)
    with pytest.raises(UserError, match=message):
        read_cifar("cifar10", path)


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        (
            "cifar10",
            [f"py/data_batch_{i}" for i in range(1, 6)],
            r"pickles, .* cifar-10-binary\.tar",
        ),
        ("cifar100", ["py/meta", "py/train", "py/test"], r"pickles, .* give cifar-100-binary\.tar"),
        ("cifar10", ["mat/data_batch_1.mat"], r"version for Matlab; give cifar-10-binary\.tar"),
        ("cifar100", ["train/cat/0.png", "train/cat/1.png"], r"is not in it; give cifar-100-bin"),
    ],
)
def test_another_version_is_named(tmp_path, name, files, message):
    path = write_tar(tmp_path / "c.tar.gz", dict.fromkeys(files, b"\x80\x02"), "w:gz")
    with pytest.raises(UserError, match=message):
        read_cifar(name, path)


def test_the_extracted_folder_gives_what_the_archive_gives(tmp_path):
    archive = make_archive(tmp_path / "c.tar", "cifar100", "w")
    with tarfile.open(archive) as opened:
        files = {info.name: opened.extractfile(info).read() for info in opened if info.isfile()}
    write_folder(tmp_path, files)
    indices = [read_cifar("cifar100", path) for path in (archive, tmp_path / "cifar-batches-bin")]
    assert [index.labels.tolist() for index in indices] == [list(range(8))] * 2
    for index in indices:
        for item in index.items():
            np.testing.assert_array_equal(item.content, crop(item.index))
