"""Normalisation and the centre crop, against torchvision and slices by hand."""

import pytest
import torch
from torchvision.transforms.v2.functional import normalize

from alexnet.network.inputs import centre_crop, denormalise, normalise

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.2, 0.3)


def test_normalise_equals_torchvision_and_denormalise_undoes_it(tinted_digits):
    images = tinted_digits[:8]
    x = normalise(images, MEAN, STD)
    expected = normalize(images.permute(0, 3, 1, 2).float() / 255, MEAN, STD)
    torch.testing.assert_close(x, expected)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(normalise(images, torch.tensor(MEAN), torch.tensor(STD)), x)
    assert torch.equal(denormalise(x, MEAN, STD), images)
    assert denormalise(torch.full((1, 3, 1, 2), -9.0), MEAN, STD).tolist() == [[[[0] * 3] * 2]]


def test_normalised_images_have_mean_0_and_deviation_1(tinted_digits):
    """With the statistics that preprocessing writes: of pixel / 255, per channel."""
    pixels = tinted_digits.numpy().reshape(-1, 3) / 255
    x = normalise(tinted_digits, tuple(pixels.mean(0)), tuple(pixels.std(0)))
    assert x.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.0] * 3, abs=1e-5)
    assert x.std(dim=(0, 2, 3)).tolist() == pytest.approx([1.0] * 3, abs=1e-4)


@pytest.mark.parametrize(("size", "first"), [(32, 0), (30, 1), (29, 1), (24, 4)])
def test_the_centre_crop(tinted_digits, size, first):
    expected = tinted_digits[:, first : first + size, first : first + size]
    assert torch.equal(centre_crop(tinted_digits, size), expected)
