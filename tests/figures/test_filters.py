import numpy as np
import pytest

from alexnet.figures.filters import as_images, conv1_filters, mosaic

from .layout import all_text, assert_legible


@pytest.mark.parametrize("shape", [(96, 3, 11, 11), (64, 3, 11, 11), (96, 1, 11, 11)])
def test_every_filter_is_drawn(shape):
    figure = conv1_filters(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    picture = figure.axes[0].images[0].get_array()
    assert picture.shape[:2] == (shape[0] // 16 * 12 - 1, 16 * 12 - 1)
    assert f"{shape[0]} filters of 11×11" in all_text(figure)
    assert_legible(figure)


def test_zero_is_mid_grey_and_each_filter_reaches_one_end():
    weight = np.zeros((2, 1, 3, 3))
    weight[0, 0, 1, 1] = -0.02
    weight[1, 0, 0, 0] = 5.0
    images = as_images(weight)
    assert images[0, 0, 0, 0] == 0.5
    assert images[0, 1, 1, 0] == 0.0
    assert images[1, 0, 0, 0] == 1.0


def test_a_filter_of_zeros_is_grey():
    np.testing.assert_array_equal(as_images(np.zeros((1, 3, 2, 2))), 0.5)


def test_mosaic_puts_filters_row_by_row():
    images = np.arange(5.0)[:, None, None, None] * np.ones((1, 2, 2, 1))
    picture = mosaic(images, columns=3)[..., 0]
    assert picture.shape == (5, 8)
    assert [picture[0, 0], picture[0, 3], picture[0, 6], picture[3, 0], picture[3, 3]] == [
        0, 1, 2, 3, 4,
    ]  # fmt: skip
    assert picture[2, 0] == 1  # the white line between
