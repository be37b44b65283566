"""The preprocessed data set on disk: written, checked, and read back by memory map."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from alexnet.data.dataset import (
    Meta,
    SkippedImage,
    check_split,
    create_split,
    load_meta,
    load_split,
    save_meta,
)
from alexnet.errors import UserError

from .making import digits

META = Meta(
    *("digits", tuple("0123456789"), 8, 1, "bicubic", (0.3,), (0.4,)),
    counts={"val": dict.fromkeys("0123456789", 7)},
    duplicates={"train-val": 0},
    skipped=(SkippedImage("cat/7.jpg", "is empty"),),
    source="scikit-learn",
    source_sha256="0" * 64,
)
LABELS = np.arange(70) % 10


@pytest.fixture
def folder(tmp_path):
    """val.safetensors with 70 digits, and meta.json."""
    images, labels = create_split(tmp_path / "val.safetensors", 70, 8, 1)
    images[:], labels[:] = digits()[:70, :, :, None], LABELS
    save_meta(tmp_path, META)
    return tmp_path


def test_a_split_is_read_back_and_is_valid_safetensors(folder):
    path = folder / "val.safetensors"
    check_split(path, 8, 1, [7] * 10)
    assert load_meta(folder) == META
    reference = load_file(path)
    for images, labels in (load_split(folder, "val"), (reference["images"], reference["labels"])):
        assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
        np.testing.assert_array_equal(images[..., 0], digits()[:70])
        np.testing.assert_array_equal(labels, LABELS)
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0, "labels are aligned"


def test_images_are_mapped_not_copied(folder):
    images, _ = load_split(folder, "val")
    path = str(folder / "val.safetensors")
    maps = [line for line in Path("/proc/self/maps").read_text().splitlines() if path in line]
    spans = [tuple(int(x, 16) for x in line.split()[0].split("-")) for line in maps]
    assert any(start <= images.data_ptr() < end for start, end in spans)


def test_a_damaged_or_missing_split_is_an_error(folder):
    path = folder / "val.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"val\.safetensors is damaged .* preprocess again"):
        load_split(folder, "val")
    with pytest.raises(UserError, match="cannot be read back"):
        check_split(path, 8, 1, [7] * 10)
    path.unlink()
    with pytest.raises(UserError, match=r"val\.safetensors does not exist"):
        load_split(folder, "val")
    with pytest.raises(UserError, match="no split 'dev'"):
        load_split(folder, "dev")


@pytest.mark.parametrize("change", ["fewer", "size", "dtype", "label", "name"])
def test_a_split_that_differs_from_meta_is_an_error(folder, change):
    path = folder / "val.safetensors"
    tensors = {name: value.clone() for name, value in load_file(path).items()}
    if change == "fewer":
        tensors = {name: value[:-1] for name, value in tensors.items()}
    elif change == "size":
        tensors["images"] = tensors["images"][:, :7].contiguous()
    elif change == "dtype":
        tensors["images"] = tensors["images"].float()
    elif change == "label":
        tensors["labels"][0] = 10
    else:
        tensors["pictures"] = tensors.pop("images")
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"val\.safetensors .*preprocess again"):
        load_split(folder, "val")


@pytest.mark.parametrize(
    ("size", "channels", "counts"),
    [(9, 1, [7] * 10), (8, 3, [7] * 10), (8, 1, [6, 8] + [7] * 8), (8, 1, [7] * 9)],
)
def test_check_split_finds_a_difference(folder, size, channels, counts):
    with pytest.raises(UserError, match="was written"):
        check_split(folder / "val.safetensors", size, channels, counts)


@pytest.mark.parametrize(
    ("name", "source", "title"),
    [
        ("cifar10", "https://example.org/cifar-10-binary.tar.gz", "cifar10"),
        ("folder", "/home/someone/birds/", "birds"),
        ("folder", "birds.tar.xz", "birds.tar.xz"),
        ("folder", "https://example.org/birds.zip?key=secret", "birds.zip"),
    ],
)
def test_the_title_names_the_data_set_or_its_source(name, source, title):
    assert Meta(**(vars(META) | {"name": name, "source": source})).title == title
