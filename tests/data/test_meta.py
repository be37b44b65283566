"""What a data set is called."""

import pytest

from alexnet.data.meta import Meta


@pytest.mark.parametrize(
    ("name", "source", "title"),
    [
        ("cifar10", "https://example.org/cifar-10-binary.tar.gz", "cifar10"),
        ("folder", "/home/someone/birds/", "birds"),
        ("folder", "birds.tar.xz", "birds.tar.xz"),
        ("folder", "https://example.org/birds.zip?key=secret", "birds.zip"),
    ],
)
def test_title(name, source, title):
    meta = Meta(name, ("a", "b"), 32, 3, (0.5,) * 3, (0.2,) * 3, {}, {}, source, "0" * 64)
    assert meta.title == title
