import gzip
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from alexnet.data.digits import read_digits
from alexnet.data.download import download
from alexnet.errors import UserError

from .making import make_config


def test_equal_scikit_learns_own_reading(tmp_path: Path) -> None:
    download(make_config(name="digits", source=None), tmp_path)
    listing = read_digits(tmp_path / "files/digits.csv.gz")
    reference = load_digits()
    np.testing.assert_array_equal(listing.labels, reference.target)
    images = np.stack([item.content for item in listing.items()])[..., 0]
    assert (images.min(), images.max()) == (0, 255)
    # 17 greys spread over 256 keep their order and come back exactly.
    np.testing.assert_array_equal(np.rint(images / (255 / 16)), reference.images)


@pytest.mark.parametrize("content", [b"a,b\n", b"1,2,3\n"])
def test_another_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(UserError, match="not scikit-learn's table"):
        read_digits(path)
