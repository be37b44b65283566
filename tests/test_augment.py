"""Augmentation on a batch, against the same done image by image with numpy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2.functional import normalize

from alexnet.augment import (
    Preparation,
    centre_crop,
    colour_components,
    crop_and_flip,
    draw,
    hide,
    mixed,
    normalise,
    reframe,
    relight,
    retone,
    trade,
)
from tests.making import CPU, draws_of, settings

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.2, 0.3)


@pytest.fixture
def images(digits):
    """Real images with colours, so that channels and sides can be told apart."""
    tints = torch.tensor([1.0, 0.8, 0.3]) * torch.linspace(0.5, 1, 32)[:, None, None]
    return ((digits[0][:300] * tints) + torch.tensor([0.0, 20.0, 60.0])).clamp(0, 255).byte()


# Crops and flips


def test_nothing_asked_for_changes_nothing(images):
    draws = draw(images, 32, settings(), epoch=3)
    assert torch.equal(crop_and_flip(images, draws, 32), images)


@pytest.mark.parametrize(("padding", "crop_size"), [(0, 24), (4, 32), (3, 20), (31, 32)])
def test_a_crop_is_a_slice_of_the_reflected_image(images, padding, crop_size):
    draws = draw(images, crop_size, settings(crop_padding=padding, flip="random"), epoch=0)
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
    first, second = (draw(many, 8, settings(flip="random"), epoch).mirrored for epoch in (0, 1))
    for flipped in (first.sum(), second.sum(), (first == second).sum()):
        assert abs(flipped.item() - 5000) < 250  # five standard deviations
    assert not draw(many, 8, settings(flip="none"), 0).mirrored.any()


def test_two_epochs_of_alternating_flips_show_both_sides_of_every_image(images):
    params = settings(flip="alternating")
    seen = [draw(images, 32, params, epoch).mirrored for epoch in range(4)]
    assert torch.equal(seen[0], ~seen[1])
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])
    assert 100 < seen[0].sum().item() < 200, "half of 300 start mirrored"
    other = draw(images, 32, settings(flip="alternating", seed=1), 0).mirrored
    assert not torch.equal(other, seen[0])


def test_the_centre_crop(images):
    for size, first in ((32, 0), (30, 1), (29, 1), (24, 4)):
        expected = images[:, first : first + size, first : first + size]
        assert torch.equal(centre_crop(images, size), expected)


# What is drawn


EVERYTHING = {
    "crop_padding": 4,
    "flip": "random",
    "zoom": 0.2,
    "turn": 10.0,
    "cutout": 8,
    "tone": 0.2,
    "cutmix": 0.5,
    "cutmix_until": 1.0,
    "lighting": 0.1,
    "epochs": 8,
}


@pytest.mark.parametrize("flip", ["random", "alternating"])
def test_what_is_drawn_depends_on_seed_epoch_and_image_alone(images, flip):
    params = settings(**(EVERYTHING | {"flip": flip}))
    first = draw(images, 32, params, epoch=3)
    torch.manual_seed(5)
    torch.rand(7)
    # Neither on what else was drawn, nor on how the run is cut into batches.
    again = draw(images, 32, params.model_copy(update={"batch_size": 99, "epochs": 7}), epoch=3)
    other_epoch = draw(images, 32, params, epoch=4)
    other_seed = draw(images, 32, params.model_copy(update={"seed": 1}), epoch=3)
    for name in vars(first):
        assert torch.equal(getattr(first, name), getattr(again, name)), name
        assert not torch.equal(getattr(first, name), getattr(other_epoch, name)), name
        assert not torch.equal(getattr(first, name), getattr(other_seed, name)), name


def test_each_kind_of_augmentation_can_be_switched_off_alone(images):
    """Without changing what the others draw."""
    full = draw(images, 32, settings(**EVERYTHING), epoch=0)
    for key, nothing, touched in [
        ("flip", "none", {"mirrored"}),
        ("zoom", 0.0, {"frame"}),
        ("turn", 0.0, {"frame"}),
        ("tone", 0.0, {"tone"}),
        ("lighting", 0.0, {"light"}),
        ("cutmix", 0.0, {"patch"}),
    ]:
        less = draw(images, 32, settings(**(EVERYTHING | {key: nothing})), epoch=0)
        for name in vars(full):
            same = torch.equal(getattr(full, name), getattr(less, name))
            assert same == (name not in touched), (key, name)


def test_pairs_trade_squares_of_up_to_half_an_image_until_told_to_stop():
    many = torch.empty(1, 32, 32, 3, dtype=torch.uint8).expand(20_000, -1, -1, -1)
    params = settings(cutmix=0.25, cutmix_until=0.5, epochs=6)
    top, left, side = draw(many, 32, params, epoch=2).patch.unbind(1)
    assert (side > 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert side.max() == 23  # 23 x 23 is about half of 32 x 32
    for place in (top, left):
        assert place.min() == 0
        assert (place + side).max() == 32
    of_area = (side[side > 0] / 32).square()
    assert of_area.mean().item() == pytest.approx(0.25, abs=0.01), "all areas alike"
    assert not draw(many, 32, params, epoch=3).patch[:, 2].any()


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
        params = settings(cutmix=cutmix, cutmix_until=1.0)
        prepare = Preparation(images, 32, (0.5,) * 3, (0.5,) * 3, params, CPU)
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
    light = draw(many, 8, settings(lighting=0.1), epoch=0).light
    assert light.dtype == torch.float32
    assert light.std(dim=0).tolist() == pytest.approx([0.1] * 3, rel=0.03)
    assert light.mean(dim=0).tolist() == pytest.approx([0.0] * 3, abs=0.004)


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
    found = reframe(x, frame_of(frame))
    torch.testing.assert_close(found, expected(x), rtol=0, atol=2e-5)
    assert x.flatten(2).std(2).min() > 0.1, "an image on which a turn can be seen"


def symmetric(x, width):
    """The image continued by its mirror image, the pixel at the edge included."""
    sides = ((0, 0), (0, 0), (width, width), (width, width))
    return torch.from_numpy(np.pad(x.numpy(), sides, mode="symmetric"))


def test_frames_are_as_large_and_as_turned_as_asked_for():
    many = torch.empty(20_000, 8, 8, 1, dtype=torch.uint8)
    frame = draw(many, 8, settings(zoom=0.2, turn=30.0), epoch=0).frame
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
    found = retone(x, draws).double().numpy()
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
        ({"turn": 1.0}, x.rot90(1, (2, 3))),
        ({"zoom": 0.1}, x.rot90(1, (2, 3))),
        ({"tone": 0.1}, x + 0.5),
    ]:
        found = Preparation(images, 32, MEAN, STD, settings(**changes), CPU)(images[:3], draws)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


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
    prepare = Preparation(images, 32, MEAN, STD, params, CPU)
    draws = draws_of(2, hole_top=torch.full((2,), 3), hole_left=torch.full((2,), 3))
    seen = prepare.seen(images[:2], draws)
    grey = torch.tensor(MEAN).mul(255).round().byte()
    assert torch.equal(seen[:, 3:11, 3:11], grey.expand(2, 8, 8, 3))
    seen[:, 3:11, 3:11] = images[:2, 3:11, 3:11]
    assert torch.equal(seen, images[:2])


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
    shift = relight(x, draws_of(3, light=light), components) - x
    for number in range(3):
        expected = sum(light[number, k] * components[:, k] for k in range(3))
        expected = expected[:, None, None].expand(3, 32, 32)
        torch.testing.assert_close(shift[number], expected, rtol=1e-4, atol=1e-5)


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
    params = settings(crop_padding=4, flip="random", cutout=8, lighting=0.5)
    draws = draw(images, 28, params, epoch=1)
    prepare = Preparation(images, 28, MEAN, STD, params, CPU)
    x = normalise(crop_and_flip(images, draws, 28), MEAN, STD)
    expected = hide(relight(x, draws, colour_components(images, STD)), draws, 8)
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
    prepare = Preparation(images, 32, MEAN, STD, params, CPU)
    together = prepare(images[:40], draws.take(slice(40)))
    for number in (0, 16, 38):
        only = slice(number, number + 2)
        assert torch.equal(prepare(images[only], draws.take(only)), together[only])


@pytest.mark.gpu
def test_a_gpu_prepares_the_same(images):
    params = settings(**EVERYTHING)
    draws, device = draw(images, 32, params, epoch=0), torch.device("cuda:0")
    expected = Preparation(images, 32, MEAN, STD, params, CPU)(images, draws)
    prepare = Preparation(images, 32, MEAN, STD, params, device)
    result = prepare(images.to(device), draws.to(device)).cpu()
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(result == 0, expected == 0)
