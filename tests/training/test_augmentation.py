"""Augmentation on a batch, against the same done image by image with numpy."""

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import normalize

from alexnet.network.inputs import centre_crop, denormalise, normalise
from alexnet.training.augmentation import (
    Augmentation,
    colour_components,
    crop_and_flip,
    draw,
    hide,
    mixed,
    pca_lighting,
    trade,
)
from tests.making import CPU, EVERYTHING, draws_of, settings

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.2, 0.3)


@pytest.fixture
def images(tinted_digits):
    return tinted_digits


# Crops and flips


def test_nothing_asked_for_changes_nothing(images):
    draws = draw(images, 32, settings(), epoch=3)
    assert torch.equal(crop_and_flip(images, draws, 32), images)


@pytest.mark.parametrize(("padding", "crop_size"), [(0, 24), (4, 32), (3, 20), (31, 32)])
def test_a_crop_is_a_slice_of_the_reflected_image(images, padding, crop_size):
    draws = draw(images, crop_size, settings(crop_padding=padding, hflip="random"), epoch=0)
    results = crop_and_flip(images, draws, crop_size)
    assert results.dtype == torch.uint8
    assert results.shape == (len(images), crop_size, crop_size, 3)
    around = [(padding, padding), (padding, padding), (0, 0)]
    for number, image in enumerate(images.numpy()):
        padded = np.pad(image, around, mode="reflect") if padding else image
        top = draws.top[number].item() + padding
        left = draws.left[number].item() + padding
        expected = padded[top : top + crop_size, left : left + crop_size]
        assert expected.shape[:2] == (crop_size, crop_size), "no crop reaches further"
        if draws.mirrored[number]:
            expected = expected[:, ::-1]
        assert np.array_equal(results[number].numpy(), expected)


@pytest.mark.parametrize(("padding", "crop_size", "offsets"), [(2, 32, 5), (0, 28, 5), (1, 30, 5)])
def test_every_offset_is_equally_likely(padding, crop_size, offsets):
    """Down and across, independently of each other: 25 places, 1,000 images in each."""
    many = torch.empty(25_000, 32, 32, 1, dtype=torch.uint8)
    draws = draw(many, crop_size, settings(crop_padding=padding), epoch=0)
    assert {draws.top.min().item(), draws.left.min().item()} == {-padding}
    places = (draws.top + padding) * offsets + draws.left + padding
    counts = torch.bincount(places, minlength=offsets**2)
    assert len(counts) == offsets**2
    assert (counts - 1000).abs().max() < 150  # almost five standard deviations


def test_half_of_the_images_are_flipped():
    many = torch.empty(10_000, 8, 8, 1, dtype=torch.uint8)
    first, second = (draw(many, 8, settings(hflip="random"), epoch).mirrored for epoch in (0, 1))
    for flipped in (first.sum(), second.sum(), (first == second).sum()):
        assert abs(flipped.item() - 5000) < 250  # five standard deviations
    assert not draw(many, 8, settings(hflip="none"), 0).mirrored.any()


def test_two_epochs_of_alternating_flips_show_both_sides_of_every_image(images):
    params = settings(hflip="alternating")
    seen = [draw(images, 32, params, epoch).mirrored for epoch in range(4)]
    assert torch.equal(seen[0], ~seen[1])
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    assert 100 < seen[0].sum().item() < 200, "half of 300 start mirrored"
    other = draw(images, 32, settings(hflip="alternating", seed=1), 0).mirrored
    assert not torch.equal(other, seen[0])


def test_the_centre_crop(images):
    for size, first in ((32, 0), (30, 1), (29, 1), (24, 4)):
        expected = images[:, first : first + size, first : first + size]
        assert torch.equal(centre_crop(images, size), expected)


# Neighbours that trade


def test_two_neighbours_trade_a_square_and_as_much_of_their_labels():
    """By hand: five images of 4 x 4, of which each is its own number; the last one is alone."""
    x = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 4, 4)
    # Of a pair the first one's square counts.
    patch = torch.tensor([[1, 2, 2], [0, 0, 4], [0, 0, 0], [0, 0, 3], [0, 0, 2]])
    draws = draws_of(5, patch=patch)
    found = trade(x, draws)[:, 0]
    expected = x[:, 0].clone()
    expected[0, 1:3, 2:4], expected[1, 1:3, 2:4] = 1.0, 0.0
    assert torch.equal(found, expected)
    assert mixed(torch.tensor([0, 2, 1, 1, 0]), draws, num_classes=3, size=4).tolist() == [
        [0.75, 0.0, 0.25],
        [0.25, 0.0, 0.75],
        [0.0, 1.0, 0.0],
        [0.0, 1.0, 0.0],
        [1.0, 0.0, 0.0],
    ]


def test_a_preparation_trades_only_if_asked_to(images):
    draws = draws_of(2, patch=torch.tensor([[4, 5, 16]] * 2))
    labels = torch.tensor([3, 7])
    for cutmix in (0.0, 0.5):
        params = settings(cutmix_prob=cutmix, cutmix_end=1.0)
        prepare = Augmentation(images, 32, (0.5,) * 3, (0.5,) * 3, params, CPU)
        x = normalise(images[:2], (0.5,) * 3, (0.5,) * 3)
        found, targets = prepare(images[:2], draws), prepare.targets(labels, draws, 10)
        if cutmix:
            assert torch.equal(found[0, :, 4:20, 5:21], x[1, :, 4:20, 5:21])
            assert targets[0, [3, 7]].tolist() == [0.75, 0.25]
        else:
            assert torch.equal(found, x)
            assert torch.equal(targets, labels)


def test_light_has_the_deviation_that_is_asked_for():
    many = torch.empty(20_000, 8, 8, 3, dtype=torch.uint8)
    light = draw(many, 8, settings(pca_lighting_std=0.1), epoch=0).light
    assert light.dtype == torch.float32
    assert light.std(dim=0).tolist() == pytest.approx([0.1] * 3, rel=0.03)
    assert light.mean(dim=0).tolist() == pytest.approx([0.0] * 3, abs=0.004)


# Cutout


@pytest.mark.parametrize("size", [1, 7, 8])
@pytest.mark.parametrize("top", [-4, 0, 5, 27, 31])
def test_cutout_hides_exactly_the_square(images, size, top):
    """Also where the square reaches beyond an edge of the image."""
    x = normalise(images[:3], MEAN, STD)
    left = 12
    draws = draws_of(3, hole_top=torch.full((3,), top), hole_left=torch.full((3,), left))
    expected = x.clone().numpy()
    expected[:, :, max(0, top) : max(0, top + size), left : left + size] = 0
    result = hide(x, draws, size)
    assert np.array_equal(result.numpy(), expected)
    assert x.abs().min() > 0, "no value was 0 before: the zeros are the hole"


def test_the_hole_is_of_every_image_its_own_and_centred_anywhere():
    many = torch.empty(20_000, 12, 12, 1, dtype=torch.uint8)
    for cutout in (4, 5):
        draws = draw(many, 12, settings(cutout=cutout), epoch=0)
        for start in (draws.hole_top, draws.hole_left):
            centres = torch.bincount(start + cutout // 2)
            assert len(centres) == 12, "of every row and column of the image"
            assert (centres / 20_000 - 1 / 12).abs().max() < 0.01
        assert (draws.hole_top == draws.hole_left).double().mean() < 0.12


def test_what_is_hidden_is_the_mean_of_the_training_pixels(images):
    params = settings(cutout=8)
    prepare = Augmentation(images, 32, MEAN, STD, params, CPU)
    draws = draws_of(2, hole_top=torch.full((2,), 3), hole_left=torch.full((2,), 3))
    seen = denormalise(prepare(images[:2], draws), MEAN, STD)
    grey = torch.tensor(MEAN).mul(255).round().byte()
    assert torch.equal(seen[:, 3:11, 3:11], grey.expand(2, 8, 8, 3))
    seen[:, 3:11, 3:11] = images[:2, 3:11, 3:11]
    assert torch.equal(seen, images[:2])


# All of it


def test_normalise_equals_torchvision(images):
    expected = normalize(images[:8].permute(0, 3, 1, 2).float() / 255, MEAN, STD)
    result = normalise(images[:8], MEAN, STD)
    torch.testing.assert_close(result, expected)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(normalise(images[:8], torch.tensor(MEAN), torch.tensor(STD)), result)


def test_normalised_images_have_mean_0_and_deviation_1(images):
    """With the statistics that preprocessing writes: of pixel / 255, per channel."""
    pixels = images.numpy().reshape(-1, 3) / 255
    x = normalise(images, tuple(pixels.mean(0)), tuple(pixels.std(0)))
    assert x.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.0] * 3, abs=1e-5)
    assert x.std(dim=(0, 2, 3)).tolist() == pytest.approx([1.0] * 3, abs=1e-4)


def test_preparation_does_all_in_order(images):
    """Crop, flip, normalise, light, and the hole last: light does not fall into it."""
    params = settings(crop_padding=4, hflip="random", cutout=8, pca_lighting_std=0.5)
    draws = draw(images, 28, params, epoch=1)
    prepare = Augmentation(images, 28, MEAN, STD, params, CPU)
    x = normalise(crop_and_flip(images, draws, 28), MEAN, STD)
    expected = hide(pca_lighting(x, draws, colour_components(images, STD)), draws, 8)
    result = prepare(images, draws)
    torch.testing.assert_close(result, expected)
    assert result.shape == (300, 3, 28, 28)
    assert not torch.allclose(result, x)
    for number in range(20):
        top, left = max(0, draws.hole_top[number]), max(0, draws.hole_left[number])
        assert not result[number, :, top : draws.hole_top[number] + 8, left].any()


def test_a_batch_is_prepared_as_each_of_its_pairs_alone(images):
    params = settings(**EVERYTHING)
    draws = draw(images, 32, params, epoch=0)
    prepare = Augmentation(images, 32, MEAN, STD, params, CPU)
    together = prepare(images[:40], draws.take(slice(40)))
    for number in (0, 16, 38):
        only = slice(number, number + 2)
        assert torch.equal(prepare(images[only], draws.take(only)), together[only])


@pytest.mark.gpu
def test_a_gpu_prepares_the_same(images):
    params = settings(**EVERYTHING)
    draws, device = draw(images, 32, params, epoch=0), torch.device("cuda:0")
    expected = Augmentation(images, 32, MEAN, STD, params, CPU)(images, draws)
    prepare = Augmentation(images, 32, MEAN, STD, params, device)
    result = prepare(images.to(device), draws.to(device)).cpu()
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(result == 0, expected == 0)
