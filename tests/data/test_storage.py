from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from alexnet.data.storage import check_split, create_split
from alexnet.errors import UserError

from .making import digit


@pytest.mark.parametrize("num_images", [1, 7, 100])
def test_safetensors_reads_what_was_filled_in(tmp_path: Path, num_images: int) -> None:
    path = tmp_path / "train.safetensors"
    images, labels = create_split(path, num_images, 8, 1)
    labels[:] = np.arange(num_images) % 2
    for row in range(num_images):
        images[row] = digit(row)[:, :, None]
    read = load_file(path)
    np.testing.assert_array_equal(read["images"][..., 0], [digit(row) for row in range(num_images)])
    np.testing.assert_array_equal(read["labels"], np.arange(num_images) % 2)
    assert read["labels"].dtype == np.int64
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0
    check_split(path, 8, 1, [num_images - num_images // 2, num_images // 2])


def test_check_sees_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "val.safetensors"
    images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.array([0, 0, 1, 1])
    save_file({"images": images, "labels": labels}, path)
    check_split(path, 8, 1, [2, 2])
    for size, channels, counts in ((9, 1, [2, 2]), (8, 3, [2, 2]), (8, 1, [1, 3]), (8, 1, [2, 1])):
        with pytest.raises(UserError, match="was written"):
            check_split(path, size, channels, counts)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="does not read"):
        check_split(path, 8, 1, [2, 2])
