import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from alexnet.data import pixel_stats
from alexnet.data.pixel_stats import count_duplicates, mean_and_std
from alexnet.errors import UserError

PHOTOS = np.stack(load_sample_images().images)  # uint8 (2, 427, 640, 3)


@pytest.mark.parametrize("block_pixels", [1, 1 << 22])
def test_mean_and_std_equal_numpys(block_pixels, monkeypatch):
    monkeypatch.setattr(pixel_stats, "_BLOCK_PIXELS", block_pixels)
    mean, std = mean_and_std(PHOTOS)
    scaled = PHOTOS.astype(np.float64) / 255
    np.testing.assert_allclose(mean, scaled.mean((0, 1, 2)), rtol=1e-10)
    np.testing.assert_allclose(std, scaled.std((0, 1, 2)), rtol=1e-10)
    assert mean_and_std(np.array([0, 255, 255, 0], np.uint8).reshape(4, 1, 1, 1)) == ((0.5,),) * 2


def test_a_constant_channel_is_an_error():
    images = PHOTOS.copy()
    images[..., 1] = 7
    with pytest.raises(UserError, match="channel 1 has one value"):
        mean_and_std(images)


def test_duplicates_are_counted_in_the_second_split():
    a, b, c = (np.full((2, 2, 1), value, np.uint8) for value in (1, 2, 3))
    assert count_duplicates(np.stack([a, b]), np.stack([c, a, a]), np.stack([c])) == [2, 0]
