"""Frames, tones and light: how an image is seen, against numpy and hand-computed pixels."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alexnet.network.inputs import normalise
from alexnet.training.augmentation import (
    Augmentation,
    color_jitter,
    colour_components,
    draw,
    pca_lighting,
    random_affine,
)
from tests.making import CPU, draws_of, settings

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.2, 0.3)


@pytest.fixture
def images(tinted_digits):
    return tinted_digits


# Frames and tones


def frame_of(matrix, num_images=3):
    return draws_of(num_images, frame=torch.tensor(matrix).repeat(num_images, 1, 1))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], lambda x: x),
        ([[0.0, -1.0], [1.0, 0.0]], lambda x: x.rot90(1, (2, 3))),
        ([[-1.0, 0.0], [0.0, 1.0]], lambda x: x.flip(3)),
        # A frame of half the size: its pixels' middles lie between those of the image.
        (
            [[0.5, 0.0], [0.0, 0.5]],
            lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")[:, :, 16:48, 16:48],
        ),
        # Of twice the size: the mean of four pixels, and around them the image mirrored.
        (
            [[2.0, 0.0], [0.0, 2.0]],
            lambda x: symmetric(F.avg_pool2d(x, 2), 8),
        ),
    ],
)
def test_a_frame_shows_what_lies_in_it(images, frame, expected):
    x = normalise(images[:3], MEAN, STD)
    found = random_affine(x, frame_of(frame))
    torch.testing.assert_close(found, expected(x), rtol=0, atol=2e-5)
    assert x.flatten(2).std(2).min() > 0.1, "an image on which a turn can be seen"


def symmetric(x, width):
    """The image continued by its mirror image, the pixel at the edge included."""
    sides = ((0, 0), (0, 0), (width, width), (width, width))
    return torch.from_numpy(np.pad(x.numpy(), sides, mode="symmetric"))


def test_frames_are_as_large_and_as_turned_as_asked_for():
    many = torch.empty(20_000, 8, 8, 1, dtype=torch.uint8)
    frame = draw(many, 8, settings(scale=0.2, degrees=30.0), epoch=0).frame
    lengths = frame.norm(dim=1)  # of what a step along x and along y becomes
    assert lengths.min() >= 0.7999
    assert lengths.max() <= 1.2001
    assert lengths.std(dim=0).tolist() == pytest.approx([0.2 / 3**0.5] * 2, rel=0.02)
    assert torch.corrcoef(lengths.T)[0, 1].abs() < 0.03, "the sides of their own accord"
    angles = torch.atan2(frame[:, 1, 0], frame[:, 0, 0]).rad2deg()
    assert angles.abs().max() <= 30
    assert angles.std().item() == pytest.approx(30 / 3**0.5, rel=0.02)
    inner = (frame[:, :, 0] * frame[:, :, 1]).sum(1)
    assert inner.abs().max() < 1e-6, "no shear"


def test_a_tone_is_contrast_saturation_and_brightness(images):
    x = normalise(images[:2], MEAN, STD)
    draws = draws_of(2, tone=torch.tensor([[1.5, 0.0, 0.0], [0.8, 1.25, -0.3]]))
    found = color_jitter(x, draws).double().numpy()
    y = x.double().numpy()
    grey = y.mean(axis=1, keepdims=True)
    expected = np.concatenate([grey[:1].repeat(3, axis=1) * 1.5, y[1:]])
    expected[1] = grey[1] * 0.8 + (y[1] - grey[1]) * (1.25 * 0.8) - 0.3
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(y - grey).max() > 0.1, "coloured images"


def test_a_preparation_reframes_and_retones_only_if_asked_to(images):
    frame = torch.tensor([[0.0, -1.0], [1.0, 0.0]]).repeat(3, 1, 1)
    draws = draws_of(3, frame=frame, tone=torch.tensor([1.0, 1.0, 0.5]).repeat(3, 1))
    x = normalise(images[:3], MEAN, STD)
    for changes, expected in [
        ({}, x),
        ({"degrees": 1.0}, x.rot90(1, (2, 3))),
        ({"scale": 0.1}, x.rot90(1, (2, 3))),
        ({"color_jitter": 0.1}, x + 0.5),
    ]:
        found = Augmentation(images, 32, MEAN, STD, settings(**changes), CPU)(images[:3], draws)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


# Lighting


def test_the_colours_components_are_numpys(images):
    """Section 4.1 of the 2012 paper: eigenvectors of the pixels' 3x3 covariance, each
    times the root of its eigenvalue; in units of the normalised image."""
    pixels = images.numpy().reshape(-1, 3) / 255 / np.array(STD)
    variances, directions = np.linalg.eigh(np.cov(pixels.T))
    components = colour_components(images, STD).numpy()
    for k in range(3):
        length = np.linalg.norm(components[:, k])
        assert length == pytest.approx(np.sqrt(max(variances[k], 0)), rel=1e-4, abs=1e-6)
        if length > 1e-6:
            along = components[:, k] @ directions[:, k] / length
            assert abs(along) == pytest.approx(1, abs=1e-5), "either way along the same line"
    # Together they carry all of the pixels' covariance.
    np.testing.assert_allclose(components @ components.T, np.cov(pixels.T), rtol=1e-3, atol=1e-6)


def test_one_unit_of_light_is_one_deviation_of_the_pixels(images):
    """The shift along the first component by 1, in the stored images' own unit."""
    pixels = images.numpy().reshape(-1, 3) / 255
    components = colour_components(images, (1.0, 1.0, 1.0)).numpy()
    strongest = components[:, 2]
    along = pixels @ (strongest / np.linalg.norm(strongest))
    assert np.linalg.norm(strongest) == pytest.approx(along.std(), rel=1e-3)


def test_components_come_from_images_spread_over_the_split():
    """Of at most so many: here every second one, which are all grey."""
    generator = torch.Generator().manual_seed(0)
    grey = torch.randint(0, 256, (10, 8, 8, 1), generator=generator).expand(-1, -1, -1, 3)
    red = torch.randint(0, 256, (10, 8, 8, 3), generator=generator) * torch.tensor([1, 0, 0])
    mixed = torch.stack([grey, red], dim=1).flatten(0, 1).to(torch.uint8)
    of_all = colour_components(mixed, (1.0, 1.0, 1.0))
    of_grey = colour_components(grey.to(torch.uint8), (1.0, 1.0, 1.0))
    assert torch.equal(colour_components(mixed, (1.0, 1.0, 1.0), most=10), of_grey)
    assert torch.equal(colour_components(mixed, (1.0, 1.0, 1.0), most=19), of_grey)
    assert torch.equal(colour_components(mixed, (1.0, 1.0, 1.0), most=20), of_all)
    assert not torch.allclose(of_all, of_grey)


def test_relight_adds_to_every_pixel_the_same_colour(images):
    light = torch.tensor([[0.0, 0.0, 0.0], [0.1, -0.2, 0.3], [0.0, 0.0, 1.0]])
    components = colour_components(images, STD)
    x = normalise(images[:3], MEAN, STD)
    shift = pca_lighting(x, draws_of(3, light=light), components) - x
    for number in range(3):
        expected = sum(light[number, k] * components[:, k] for k in range(3))
        expected = expected[:, None, None].expand(3, 32, 32)
        torch.testing.assert_close(shift[number], expected, rtol=1e-4, atol=1e-5)
