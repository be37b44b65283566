"""scikit-learn's table of digits."""

import gzip

import numpy as np
import pytest
from sklearn.datasets import load_digits

from alexnet.data.digits import read_digits
from alexnet.data.download import download
from alexnet.errors import UserError

from .making import make_config


def test_images_and_labels_equal_scikit_learns(tmp_path):
    download(make_config(name="digits", source=None), tmp_path)
    index = read_digits(tmp_path / "files/digits.csv.gz")
    reference = load_digits()
    np.testing.assert_array_equal(index.labels, reference.target)
    images = np.stack([item.content for item in index.items()])[..., 0]
    assert (images.min(), images.max()) == (0, 255)
    # The 17 greys keep their order and are recovered exactly.
    np.testing.assert_array_equal(np.rint(images / (255 / 16)), reference.images)


@pytest.mark.parametrize("content", [b"a,b\n", b"1,2,3\n"])
def test_another_table_is_an_error(tmp_path, content):
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(gzip.compress(content))
    with pytest.raises(UserError, match="not scikit-learn's table"):
        read_digits(path)
