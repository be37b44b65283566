"""Augmentation on a batch, against the same done image by image."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2.functional import normalize

from alexnet.augment import crop_and_flip, normalise


def test_nothing_asked_for_changes_nothing(digits):
    images, _ = digits
    assert torch.equal(crop_and_flip(images[:50], padding=0, flip=False), images[:50])


@pytest.mark.parametrize("padding", [1, 4])
def test_each_result_is_a_crop_of_the_reflected_image_flipped_or_not(digits, padding):
    images = torch.randint(0, 256, (40, 16, 16, 3), dtype=torch.uint8)
    images = torch.cat([images, digits[0][:20, 8:24, 8:24]])
    torch.manual_seed(1)
    results = crop_and_flip(images, padding, flip=True)
    shifts, flips = set(), set()
    for image, result in zip(images[:40], results[:40], strict=True):
        padded = F.pad(image.permute(2, 0, 1).float(), [padding] * 4, mode="reflect")
        found = [
            (row, column, flip)
            for row in range(2 * padding + 1)
            for column in range(2 * padding + 1)
            for flip in (False, True)
            if torch.equal(
                _flipped(padded[:, row : row + 16, column : column + 16], flip),
                result.permute(2, 0, 1).float(),
            )
        ]
        assert len(found) == 1
        shifts.add(found[0][:2])
        flips.add(found[0][2])
    assert flips == {False, True}
    assert len(shifts) >= min(7, (2 * padding + 1) ** 2)


def _flipped(image, flip):
    return image.flip(2) if flip else image


def test_half_of_the_images_are_flipped():
    images = torch.arange(4, dtype=torch.uint8).reshape(1, 1, 4, 1).expand(10_000, 1, 4, 1)
    torch.manual_seed(0)
    flipped = (crop_and_flip(images, 0, flip=True)[:, 0, 0, 0] == 3).sum().item()
    assert abs(flipped - 5000) < 200  # four standard deviations


def test_every_shift_is_equally_likely():
    images = torch.arange(9, dtype=torch.uint8).reshape(1, 1, 9, 1).expand(9000, 9, 9, 1)
    torch.manual_seed(0)
    centre = crop_and_flip(images, 2, flip=False)[:, 4, 4, 0]
    counts = torch.bincount(centre.int(), minlength=9)[2:7]
    assert counts.sum() == 9000
    assert (counts - 1800).abs().max() < 200


def test_normalise_equals_torchvision(digits):
    images, _ = digits
    mean, std = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
    expected = normalize(images[:8].permute(0, 3, 1, 2).float() / 255, mean, std)
    result = normalise(images[:8], mean, std)
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous(memory_format=torch.channels_last)
