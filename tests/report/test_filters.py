import numpy as np
import pytest

from alexnet.report.filters import as_images, conv1_filters, mosaic, total_variation

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


def test_filters_with_a_shape_are_told_from_noise():
    """A spot, an edge and a grating; of noise the flatness is exp(digamma(3)) / 3 = 0.84."""
    noise = np.random.default_rng(0).normal(size=(40, 3, 11, 11))
    assert total_variation(noise).mean() == pytest.approx(0.84, abs=0.02)
    y, x = np.mgrid[-5:6, -5:6]
    spot, edge, grating = np.exp(-(x**2 + y**2) / 8), np.sign(x), np.cos(2.5 * x)
    shapes = np.stack([np.stack([shape] * 3) for shape in (spot, edge, grating)])
    slightly = shapes + 0.1 * noise[:3]
    assert total_variation(slightly).max() < 0.5 * total_variation(noise).min()
    mixed = noise.copy()
    mixed[:3] = slightly
    title = all_text(conv1_filters(noise, mixed))
    assert "3 of 40 filters have taken shape, 37 are still close to the noise" in title
    assert "all 3 filters a shape" in all_text(conv1_filters(noise[:3], slightly))
    assert total_variation(np.zeros((1, 3, 11, 11)))[0] == 1


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
