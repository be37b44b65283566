import numpy as np
import pytest

from alexnet.figures.filters import as_images, conv1_filters, mosaic, smoothness

from .layout import all_text, assert_legible


@pytest.mark.parametrize("shape", [(96, 3, 11, 11), (64, 3, 11, 11), (96, 1, 11, 11)])
def test_every_filter_is_drawn(shape):
    before, after = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    figure = conv1_filters(before, after)
    first, second = (image.get_array() for axes in figure.axes for image in axes.images)
    for picture, weight in ((first, before), (second, after)):
        assert picture.shape[:2] == (shape[0] // 16 * 12 - 1, 16 * 12 - 1)
        corner = as_images(weight[:1])[0]
        np.testing.assert_array_equal(
            picture[:11, :11], corner if shape[1] == 3 else corner[..., 0]
        )
    text = all_text(figure)
    assert f"before training: {shape[0]} filters of 11×11" in text
    assert f"its {shape[0]} filters are still close to noise" in text
    assert_legible(figure)


def test_smooth_filters_are_told_from_noise():
    """A grating of period 8 correlates with itself one pixel on by cos(2 pi / 8), one down by 1."""
    noise = np.random.default_rng(0).normal(size=(40, 3, 11, 11))
    assert np.abs(smoothness(noise)).max() < 0.2
    grating = np.sin(2 * np.pi * np.arange(400) / 8) * np.ones((1, 1, 400, 1))
    assert smoothness(grating)[0] == pytest.approx((np.cos(np.pi / 4) + 1) / 2, abs=0.01)
    mixed = noise.copy()
    mixed[:10] = grating[..., :11, :11]
    assert "10 of 40 filters have taken shape" in all_text(conv1_filters(noise, mixed))
    assert "all 10 filters a shape" in all_text(conv1_filters(noise[:10], mixed[:10]))
    assert smoothness(np.zeros((1, 3, 11, 11)))[0] == 0


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
