"""Each transform against numpy or torchvision, and the distribution of its random numbers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as tv

from alexnet.network.inputs import normalise
from alexnet.training.augmentation import Augmentation
from alexnet.training.color import ColorJitter, PCALighting, principal_components
from alexnet.training.occlusion import CutMix, Cutout, RandomErasing
from alexnet.training.transforms import HorizontalFlip, RandomAffine, RandomCrop, TrainingImages
from tests.runs import CPU, settings

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.2, 0.3)


@pytest.fixture
def images(tinted_digits):
    return tinted_digits


@pytest.fixture
def x(images):
    return normalise(images[:3], MEAN, STD)


def transform(kind, pixels=None, size=32, **params):
    pixels = torch.zeros(1, 32, 32, 3, dtype=torch.uint8) if pixels is None else pixels
    return kind(settings(**params), TrainingImages(pixels, size, STD, CPU))


def sampled(made, n=20_000, epoch=0):
    return made.sample_epoch(n, 0, epoch)


# Crop and flip


@pytest.mark.parametrize("hflip", ["none", "random", "alternating"])
@pytest.mark.parametrize(("padding", "crop_size"), [(0, 24), (4, 32), (3, 20), (31, 32)])
def test_a_crop_is_a_slice_of_the_reflected_image(images, padding, crop_size, hflip):
    params = settings(crop_padding=padding, crop_size=crop_size, hflip=hflip)
    augmentation = Augmentation(images, (0.0,) * 3, (1 / 255,) * 3, params, CPU)
    given = augmentation.sample(len(images), epoch=0)
    results = augmentation(images, given).permute(0, 2, 3, 1).round().byte().numpy()
    around = [(padding, padding), (padding, padding), (0, 0)]
    mirrored = (
        augmentation.select(given, "flip") if hflip != "none" else torch.zeros(len(images), 1)
    )
    for number, image in enumerate(images.numpy()):
        padded = np.pad(image, around, mode="reflect") if padding else image
        top, left = (augmentation.select(given, "crop")[number].int() + padding).tolist()
        expected = padded[top : top + crop_size, left : left + crop_size]
        assert expected.shape[:2] == (crop_size, crop_size), "no crop reaches further"
        expected = expected[:, ::-1] if mirrored[number] else expected
        assert np.array_equal(results[number], expected)


@pytest.mark.parametrize(("padding", "crop_size"), [(2, 32), (0, 28), (1, 30)])
def test_each_offset_is_equally_likely(padding, crop_size):
    """Down and across, independently of each other: 25 places, 1,000 images in each."""
    crop = transform(RandomCrop, size=crop_size, crop_padding=padding, crop_size=crop_size)
    top, left = (sampled(crop, 25_000) + padding).long().unbind(1)
    counts = torch.bincount(top * 5 + left)
    assert len(counts) == 25
    assert (counts - 1000).abs().max() < 150  # almost five standard deviations


def test_half_of_the_images_are_flipped_at_random():
    flip = transform(HorizontalFlip, hflip="random")
    first, second = (sampled(flip, 10_000, epoch).bool() for epoch in (0, 1))
    for flipped in (first, second, first == second):
        assert abs(flipped.sum().item() - 5000) < 250  # five standard deviations


def test_alternating_flips_mirror_each_image_in_every_second_epoch():
    flip = transform(HorizontalFlip, hflip="alternating")
    epochs = [sampled(flip, 300, epoch).bool() for epoch in range(4)]
    assert torch.equal(epochs[0], ~epochs[1])
    assert torch.equal(epochs[0], epochs[2])
    assert torch.equal(epochs[1], epochs[3])
    assert 100 < epochs[0].sum().item() < 200, "half of 300 are mirrored in the first epoch"
    assert not torch.equal(flip.sample_epoch(300, 1, 0).bool(), epochs[0]), "it depends on the seed"


# Affine


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ((1.0, 0.0, 0.0, 1.0), lambda x: x),
        ((0.0, -1.0, 1.0, 0.0), lambda x: x.rot90(1, (2, 3))),
        ((-1.0, 0.0, 0.0, 1.0), lambda x: x.flip(3)),
        # Twice as large: the pixels' centres lie between those of the image.
        (
            (0.5, 0.0, 0.0, 0.5),
            lambda x: F.interpolate(x, scale_factor=2, mode="bilinear")[:, :, 16:48, 16:48],
        ),
        # Half as large: the mean of four pixels, and around them the mirrored image.
        ((2.0, 0.0, 0.0, 2.0), lambda x: symmetric(F.avg_pool2d(x, 2), 8)),
    ],
)
def test_an_affine_map_by_its_matrix(x, matrix, expected):
    found = transform(RandomAffine, degrees=1.0)(x, torch.tensor([matrix] * 3))
    torch.testing.assert_close(found, expected(x), rtol=0, atol=2e-5)
    assert x.flatten(2).std(2).min() > 0.1, "an image on which a rotation shows"


def symmetric(x, width):
    """The image continued by its mirror image, the pixel at the edge included."""
    sides = ((0, 0), (0, 0), (width, width), (width, width))
    return torch.from_numpy(np.pad(x.numpy(), sides, mode="symmetric"))


def test_images_are_scaled_and_rotated_up_to_the_limits():
    matrix = sampled(transform(RandomAffine, scale=0.2, degrees=30.0)).view(-1, 2, 2)
    norms = matrix.norm(dim=1)  # of a step to the right and of one down
    assert norms.min() >= 0.7999
    assert norms.max() <= 1.2001
    assert norms.std(dim=0).tolist() == pytest.approx([0.2 / 3**0.5] * 2, rel=0.02)
    assert torch.corrcoef(norms.T)[0, 1].abs() < 0.03, "width and height are independent"
    angles = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0]).rad2deg()
    assert angles.abs().max() <= 30
    assert angles.std().item() == pytest.approx(30 / 3**0.5, rel=0.02)
    assert (matrix[:, :, 0] * matrix[:, :, 1]).sum(1).abs().max() < 1e-6, "no shear"


# Colours


def test_color_jitter_changes_contrast_saturation_and_brightness(x):
    given = torch.tensor([[1.5, 0.0, 0.0], [0.8, 1.25, -0.3], [1.0, 1.0, 0.0]])
    found = transform(ColorJitter, color_jitter=0.5)(x, given).double().numpy()
    y = x.double().numpy()
    grey = y.mean(axis=1, keepdims=True)
    expected = y.copy()
    expected[0] = grey[0].repeat(3, axis=0) * 1.5
    expected[1] = grey[1] * 0.8 + (y[1] - grey[1]) * (1.25 * 0.8) - 0.3
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(y - grey).max() > 0.1, "coloured images"


def test_color_jitter_samples_around_the_unchanged_image():
    change = sampled(transform(ColorJitter, color_jitter=0.2)) - torch.tensor([1.0, 1.0, 0.0])
    assert change.abs().max() <= 0.2001
    assert change.std(dim=0).tolist() == pytest.approx([0.2 / 3**0.5] * 3, rel=0.02)
    assert (torch.corrcoef(change.T) - torch.eye(3)).abs().max() < 0.03


def test_the_principal_components_equal_numpys(images):
    """Krizhevsky et al. 2012, section 4.1: eigenvectors of the pixels' 3x3 covariance, each
    times the root of its eigenvalue; in units of the normalised image."""
    pixels = images.numpy().reshape(-1, 3) / 255 / np.array(STD)
    variances, directions = np.linalg.eigh(np.cov(pixels.T))
    components = principal_components(images, STD).numpy()
    for k in range(3):
        norm = np.linalg.norm(components[:, k])
        assert norm == pytest.approx(np.sqrt(max(variances[k], 0)), rel=1e-4, abs=1e-6)
        if norm > 1e-6:
            cosine = components[:, k] @ directions[:, k] / norm
            assert abs(cosine) == pytest.approx(1, abs=1e-5), "the sign is free"
    # Together they are the pixels' covariance.
    np.testing.assert_allclose(components @ components.T, np.cov(pixels.T), rtol=1e-3, atol=1e-6)


def test_components_are_of_images_spread_over_the_split():
    """Of at most max_images: here of every second one, which are all grey."""
    generator, one = torch.Generator().manual_seed(0), (1.0, 1.0, 1.0)
    grey = torch.randint(0, 256, (10, 8, 8, 1), generator=generator).expand(-1, -1, -1, 3)
    red = torch.randint(0, 256, (10, 8, 8, 3), generator=generator) * torch.tensor([1, 0, 0])
    both = torch.stack([grey, red], dim=1).flatten(0, 1).byte()
    of_all, of_grey = principal_components(both, one), principal_components(grey.byte(), one)
    for max_images, expected in [(10, of_grey), (19, of_grey), (20, of_all)]:
        assert torch.equal(principal_components(both, one, max_images), expected)
    assert not torch.allclose(of_all, of_grey)


def test_pca_lighting_adds_the_same_colour_to_every_pixel(images, x):
    given = torch.tensor([[0.0, 0.0, 0.0], [0.1, -0.2, 0.3], [0.0, 0.0, 1.0]])
    components = principal_components(images, STD)
    shift = transform(PCALighting, images, pca_lighting_std=0.1)(x, given) - x
    for number in range(3):
        expected = sum(given[number, k] * components[:, k] for k in range(3))
        expected = expected[:, None, None].expand(3, 32, 32)
        torch.testing.assert_close(shift[number], expected, rtol=1e-4, atol=1e-5)


def test_the_standard_deviation_of_pca_lighting():
    found = sampled(transform(PCALighting, pca_lighting_std=0.1))
    assert found.std(dim=0).tolist() == pytest.approx([0.1] * 3, rel=0.03)
    assert found.mean(dim=0).tolist() == pytest.approx([0.0] * 3, abs=0.004)


# Cutout and random erasing


@pytest.mark.parametrize("size", [1, 7, 8])
@pytest.mark.parametrize("top", [-4, 0, 5, 27, 31])
def test_cutout_hides_exactly_the_square(x, size, top):
    """Also where the square reaches beyond an edge of the image."""
    expected = x.numpy().copy()
    expected[:, :, max(0, top) : max(0, top + size), 12 : 12 + size] = 0
    found = transform(Cutout, cutout=size)(x, torch.tensor([[top, 12.0]] * 3))
    assert np.array_equal(found.numpy(), expected)
    assert x.abs().min() > 0, "no value was 0 before: the zeros are the square"


@pytest.mark.parametrize("size", [4, 5])
def test_cutouts_are_centred_on_any_pixel(size):
    top, left = sampled(transform(Cutout, size=12, cutout=size)).long().unbind(1)
    for start in (top, left):
        centres = torch.bincount(start + size // 2)
        assert len(centres) == 12, "every row and column of the image"
        assert (centres / 20_000 - 1 / 12).abs().max() < 0.01
    assert (top == left).double().mean() < 0.12


def test_random_erasing_replaces_exactly_the_rectangle_as_torchvision_does(x):
    """By noise that depends on the offset alone."""
    erasing = transform(RandomErasing, random_erasing_prob=0.5)
    given = torch.tensor([[3, 5, 20, 8, 77], [3, 5, 20, 8, 78], [3, 5, 0, 8, 77.0]])
    found = erasing(x, given)
    noise = erasing(x, torch.tensor([[0, 0, 32, 32, 77], [0, 0, 32, 32, 78], [0, 0, 0, 32, 9.0]]))
    for number in (0, 1):
        values = noise[number, :, 3:23, 5:13]
        assert torch.equal(found[number], tv.erase(x[number], 3, 5, 20, 8, values))
    assert torch.equal(found[2], x[2]), "height 0: nothing is erased"
    assert torch.corrcoef(noise[:2].flatten(1))[0, 1].abs() < 0.1
    assert torch.equal(erasing(x[1:], given[1:]), found[1:]), "it does not depend on the batch"


def test_the_noise_of_random_erasing_is_normal():
    erasing = transform(RandomErasing, random_erasing_prob=1.0)
    last = erasing.noise.shape[0] - 1
    ends = erasing(
        torch.zeros(2, 3, 32, 32), torch.tensor([[0, 0, 32, 32, 0], [0, 0, 32, 32, last]])
    )
    assert ends.mean().item() == pytest.approx(0, abs=0.06)
    assert ends.std().item() == pytest.approx(1, abs=0.05)
    assert (ends.abs() < 1).double().mean().item() == pytest.approx(0.683, abs=0.03)
    other = transform(RandomErasing, random_erasing_prob=1.0, seed=1)
    assert not torch.equal(other.noise[0], erasing.noise[0]), "it depends on the seed"


def test_erased_rectangles_are_distributed_as_in_the_paper():
    """Zhong et al.: 2 to 40 % of the image, 0.3 to 3.3 times as high as wide, anywhere."""
    erasing = transform(RandomErasing, size=100, random_erasing_prob=0.25)
    top, left, height, width, offset = sampled(erasing).unbind(1)
    assert (height > 0).double().mean().item() == pytest.approx(0.25, abs=0.015)
    assert offset.min() < 0.01 * erasing.num_values
    assert 0.99 * erasing.num_values < offset.max() <= erasing.num_values
    erased = height > 0
    top, left, height, width = (each[erased] for each in (top, left, height, width))
    area, ratio = height * width / 100**2, (height / width).log()
    assert 0.018 < area.min() < 0.03
    assert 0.39 < area.max() < 0.41
    assert area.mean().item() == pytest.approx(0.21, abs=0.006), "all areas alike"
    assert ratio.abs().max() == pytest.approx(-np.log(0.3), abs=0.1)
    assert ratio.mean().abs() < 0.05, "as often wide as high"
    for start, side in [(top, height), (left, width)]:
        assert start.min() == 0
        assert (start + side).max() == 100
    places = torch.stack([top / (101 - height), left / (101 - width), area])
    assert (torch.corrcoef(places) - torch.eye(3)).abs().max() < 0.08, "independent"


# CutMix


def test_cutmix_exchanges_a_square_of_two_images_and_that_share_of_their_labels():
    """By hand: five images of 4 x 4, each filled with its index; the last one has no partner."""
    x = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 4, 4)
    cutmix = transform(CutMix, size=4, cutmix_prob=0.5, cutmix_end=1.0)
    # Of a pair the first one's square is used.
    given = torch.tensor([[1, 2, 2], [0, 0, 4], [0, 0, 0], [0, 0, 3], [0, 0, 2.0]])
    expected = x[:, 0].clone()
    expected[0, 1:3, 2:4], expected[1, 1:3, 2:4] = 1.0, 0.0
    assert torch.equal(cutmix(x, given)[:, 0], expected)
    labels = torch.tensor([0, 2, 1, 1, 0])
    targets = [[0.75, 0, 0.25], [0.25, 0, 0.75], [0, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert cutmix.mix_targets(labels, given, num_classes=3).tolist() == targets
    mixed = F.one_hot(labels, 3).float()
    assert cutmix.mix_targets(mixed, given, num_classes=3).tolist() == targets


def test_cutmix_squares_cover_up_to_half_an_image_until_cutmix_end():
    cutmix = transform(CutMix, cutmix_prob=0.25, cutmix_end=0.5, epochs=6)
    top, left, side = sampled(cutmix, epoch=2).unbind(1)
    assert (side > 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert side.max() == 23  # 23 x 23 is about half of 32 x 32
    for start in (top, left):
        assert start.min() == 0
        assert (start + side).max() == 32
    area = (side[side > 0] / 32).square()
    assert area.mean().item() == pytest.approx(0.25, abs=0.01), "all areas alike"
    assert not sampled(cutmix, epoch=3)[:, 2].any()
