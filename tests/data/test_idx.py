"""IDX files of MNIST and Fashion-MNIST."""

import gzip

import numpy as np
import pytest

from alexnet.data import idx
from alexnet.data.idx import parse_idx, read_idx
from alexnet.errors import UserError

from .making import digits, write_idx

IMAGES = digits()[:6]


def write_mnist(folder, suffix=""):
    for prefix, rows in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
        write_idx(folder / f"{prefix}-images-idx3-ubyte{suffix}", IMAGES[rows])
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{suffix}", np.arange(6)[rows])
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".bz2"])
def test_images_labels_and_splits_are_read(tmp_path, suffix):
    index = read_idx("mnist", write_mnist(tmp_path, suffix))
    assert index.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert index.split.tolist() == ["train"] * 4 + ["test"] * 2
    for item in index.items():
        np.testing.assert_array_equal(item.content, IMAGES[item.index][:, :, None])


def test_parse_idx_of_bytes_by_hand(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes.fromhex("00000803 00000001 00000002 00000003 010203040506"))
    assert parse_idx(path, 3).tolist() == [[[1, 2, 3], [4, 5, 6]]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not an IDX file of uint8 with 3"),
        ("00000801 00000001 01", "it starts with 00000801"),
        ("00000d03 00000001 00000001 00000001 00000000", "starts with 00000d03"),
        ("00000803 00000001", "not an IDX file"),
        ("00000803 00000001 00000002 00000003 0102030405", "but has 5"),
        ("00000803 ffffffff ffffffff ffffffff 01", "but has 1"),
        ("1f8b08 676172626167", "is damaged"),
    ],
)
def test_an_invalid_file_is_an_error(tmp_path, content, message):
    (tmp_path / "x-idx3").write_bytes(bytes.fromhex(content))
    with pytest.raises(UserError, match=f"x-idx3 .*{message}"):
        parse_idx(tmp_path / "x-idx3", 3)


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2"])
def test_a_truncated_or_damaged_file_is_an_error(tmp_path, suffix):
    path = write_idx(tmp_path / f"x{suffix}", IMAGES)
    content = path.read_bytes()
    middle = len(content) // 2
    for damaged in (content[:-20], content[:middle] + bytes(9) + content[middle + 9 :]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=rf"x\{suffix} is damaged"):
            parse_idx(path, 3)


def test_a_file_that_claims_to_be_huge_is_not_read_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "MAX_BYTES", 1000)
    (tmp_path / "x.gz").write_bytes(gzip.compress(bytes(1001)))
    with pytest.raises(UserError, match=r"x\.gz has more than 1,000 bytes"):
        parse_idx(tmp_path / "x.gz", 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(3), "t10k has 2 images, but 3 labels"),
        (np.array([1, 10]), "t10k has a label 10"),
        (None, r"lacks t10k-labels-idx1-ubyte;"),
    ],
)
def test_labels_that_do_not_match_the_images_are_an_error(tmp_path, labels, message):
    path = write_mnist(tmp_path) / "t10k-labels-idx1-ubyte"
    path.unlink() if labels is None else write_idx(path, labels)
    with pytest.raises(UserError, match=message):
        read_idx("mnist", tmp_path)
