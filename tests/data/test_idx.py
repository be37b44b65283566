from pathlib import Path

import numpy as np
import pytest

from alexnet.data.idx import parse_idx, read_idx
from alexnet.errors import UserError

from .making import digit, write_idx

IMAGES = np.stack([digit(index) for index in range(6)])


def write_mnist(folder: Path, suffix: str = "") -> Path:
    for prefix, rows in (("train", slice(0, 4)), ("t10k", slice(4, 6))):
        write_idx(folder / f"{prefix}-images-idx3-ubyte{suffix}", IMAGES[rows])
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{suffix}", np.arange(6)[rows])
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    listing = read_idx("mnist", write_mnist(tmp_path, suffix))
    assert listing.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert listing.given.tolist() == ["train"] * 4 + ["test"] * 2
    for item in listing.items():
        np.testing.assert_array_equal(item.content, IMAGES[item.index][:, :, None])


def test_bytes_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes.fromhex("00000803 00000001 00000002 00000003 010203040506"))
    assert parse_idx(path, 3).tolist() == [[[1, 2, 3], [4, 5, 6]]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file of uint8 in 3"),
        (bytes.fromhex("00000801 00000001 01"), "it starts with 00000801"),
        (bytes.fromhex("00000d03 00000001 00000001 00000001 00000000"), "starts with 00000d03"),
        (bytes.fromhex("00000803 00000001"), "no IDX file"),
        (bytes.fromhex("00000803 00000001 00000002 00000003 0102030405"), "but holds 5"),
        (bytes.fromhex("00000803 ffffffff ffffffff ffffffff 01"), "but holds 1"),
        (b"\x1f\x8b\x08garbage", "is damaged"),
    ],
)
def test_what_is_no_idx_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x-idx3").write_bytes(content)
    with pytest.raises(UserError, match=f"x-idx3 .*{message}"):
        parse_idx(tmp_path / "x-idx3", 3)


def test_a_truncated_gzip_is_named(tmp_path: Path) -> None:
    path = write_idx(tmp_path / "x.gz", IMAGES)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"x\.gz is damaged"):
        parse_idx(path, 3)


def test_files_that_do_not_go_together(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    labels = tmp_path / "t10k-labels-idx1-ubyte"
    write_idx(labels, np.arange(3))
    with pytest.raises(UserError, match="t10k has 2 images, but 3 labels"):
        read_idx("mnist", tmp_path)
    write_idx(labels, np.array([1, 10]))
    with pytest.raises(UserError, match="t10k has a label 10"):
        read_idx("mnist", tmp_path)
    labels.unlink()
    with pytest.raises(UserError, match=r"lacks t10k-labels-idx1-ubyte\.gz"):
        read_idx("mnist", tmp_path)
