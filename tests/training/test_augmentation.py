"""All transforms together: their list, their random numbers, their order, and a new one."""

import pytest
import torch

from alexnet import config
from alexnet.network.inputs import denormalise, normalise
from alexnet.training import augmentation, color, occlusion, transforms
from alexnet.training.augmentation import TRANSFORMS, Augmentation, describe_augmentation
from alexnet.training.transforms import GatherTransform, PixelTransform
from tests.runs import CPU, EVERYTHING, seeded, settings, train

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.2, 0.3)
ALL = EVERYTHING | {"cutmix_end": 1.0, "epochs": 8}

each_transform = pytest.mark.parametrize("kind", TRANSFORMS, ids=lambda kind: kind.name)


@pytest.fixture
def images(tinted_digits):
    return tinted_digits


def augmentation_of(images, device=CPU, **params):
    return Augmentation(images, MEAN, STD, settings(**params), device)


def only(kind):
    """The fewest of EVERYTHING's parameters with which a transform is active."""
    given = dict(EVERYTHING)
    for key in EVERYTHING:
        fewer = {other: value for other, value in given.items() if other != key}
        if kind.is_active(settings(**fewer)):
            given = fewer
    return given


# The list


def test_each_transform_is_listed_once_and_gathers_come_first():
    bases = {GatherTransform, PixelTransform}
    written = {
        kind
        for file in (transforms, color, occlusion)
        for kind in vars(file).values()
        if isinstance(kind, type) and issubclass(kind, tuple(bases))
    }
    assert written - bases == set(TRANSFORMS)
    assert len({kind.name for kind in TRANSFORMS}) == len(TRANSFORMS)
    on_pixels = [issubclass(kind, PixelTransform) for kind in TRANSFORMS]
    assert on_pixels == sorted(on_pixels)


def test_everything_has_each_transform_and_plain_has_none():
    assert all(kind.is_active(settings(**EVERYTHING)) for kind in TRANSFORMS)
    assert not any(kind.is_active(settings()) for kind in TRANSFORMS)


@each_transform
def test_each_transform_can_be_active_alone(images, kind):
    """Inactive ones are neither built nor sampled."""
    params = only(kind) | {"cutmix_end": 1.0}
    made = augmentation_of(images, **params)
    assert [type(transform) for transform in made.transforms] == [kind]
    sampled = made.sample(len(images), epoch=0)
    assert sampled.shape == (len(images), len(kind.columns))
    assert sampled.dtype == torch.float32
    x = made(images, sampled)
    assert x.shape == (300, 3, 32, 32)
    assert not torch.allclose(x, normalise(images, MEAN, STD))
    assert describe_augmentation(settings(**params)) == kind.description(settings(**params)) != ""


def test_without_augmentation_images_are_normalised_and_labels_kept(images):
    made, labels = augmentation_of(images), torch.arange(300)
    sampled = made.sample(300, epoch=0)
    assert sampled.shape == (300, 0)
    assert torch.equal(made(images, sampled), normalise(images, MEAN, STD))
    assert made.targets(labels, sampled, 10) is labels
    assert describe_augmentation(settings()) == ""


def test_switched_off_all_images_are_as_evaluation_sees_them(images):
    made = augmentation_of(images, **ALL | {"augmentation": "none", "crop_size": 24})
    sampled = made.sample(300, epoch=0)
    assert sampled.shape == (300, 0)
    assert torch.equal(made(images, sampled), normalise(images[:, 4:28, 4:28], MEAN, STD))
    assert describe_augmentation(settings(**ALL, augmentation="none")) == ""


# Random numbers


@each_transform
def test_random_numbers_depend_on_seed_epoch_and_image_alone(images, kind, monkeypatch):
    def sample(epoch=3, **changes):
        made = augmentation_of(images, **(ALL | changes))
        return made.select(made.sample(300, epoch), kind.name)

    first = sample()
    torch.manual_seed(5)
    assert torch.equal(sample(batch_size=99), first)
    for other in (sample(epoch=4), sample(seed=1)):
        assert not torch.equal(other, first)
    # Nor on which other transforms are active.
    monkeypatch.setattr(augmentation, "TRANSFORMS", (kind,))
    assert torch.equal(sample(), first)


def test_transforms_are_independent_of_each_other(images):
    made = augmentation_of(images, **ALL)
    values = made.sample(20_000, epoch=0)
    correlation = torch.corrcoef(values.T).abs()
    for own in made.columns.values():
        correlation[own, own] = 0
    assert correlation.max() < 0.035  # five standard deviations


# Arithmetic


def test_transforms_act_in_the_order_of_the_list(images):
    """By hand, one after the other; lighting does not change the pixels that cutout hides."""
    params = {"crop_size": 28, "hflip": "random", "cutout": 8, "pca_lighting_std": 0.5}
    made = augmentation_of(images, **params)
    sampled = made.sample(300, epoch=1)
    result = made(images, sampled)
    crop, flip, lighting, cutout = made.transforms
    positions = torch.arange(28)[None]
    rows, columns = flip.source(positions, positions, made.select(sampled, "flip"))
    rows, columns = crop.source(rows, columns, made.select(sampled, "crop"))
    stored = images[torch.arange(300)[:, None, None], rows[:, :, None], columns[:, None]]
    x = lighting(normalise(stored, MEAN, STD), made.select(sampled, "pca_lighting"))
    torch.testing.assert_close(result, cutout(x, made.select(sampled, "cutout")))
    hidden = (result == 0).all(dim=1).sum(dim=(1, 2))
    assert hidden.min() >= 16
    assert hidden.max() == 64


def test_cutout_sets_pixels_to_the_training_mean(images):
    made = augmentation_of(images, cutout=8)
    sampled = made.sample(300, epoch=0)
    seen = denormalise(made(images, sampled), MEAN, STD)
    hidden = (seen == torch.tensor(MEAN).mul(255).round().byte()).all(dim=3)
    assert torch.equal(seen[~hidden], images[~hidden])
    for number, (top, left) in enumerate(made.select(sampled, "cutout").int().tolist()):
        assert hidden[number, max(0, top) : top + 8, max(0, left) : left + 8].all()


def test_the_augmentation_of_a_pair_does_not_depend_on_its_batch(images):
    made, labels = augmentation_of(images, **ALL), torch.arange(300) % 10
    sampled = made.sample(300, epoch=0)
    batch = slice(0, 40)
    together = made(images[batch], sampled[batch])
    targets = made.targets(labels[batch], sampled[batch], 10)
    for number in (0, 16, 38):
        pair = slice(number, number + 2)
        of_pair = sampled[pair]
        assert torch.equal(made(images[pair], of_pair), together[pair])
        assert torch.equal(made.targets(labels[pair], of_pair, 10), targets[pair])
    cutmix = made.transforms[-1]
    assert torch.equal(
        targets, cutmix.mix_targets(labels[:40], made.select(sampled, "cutmix")[:40], 10)
    )
    assert targets.sum(dim=1).tolist() == pytest.approx([1.0] * 40)
    assert targets.max(dim=1).values.min() < 1, "some labels are mixed"


@pytest.mark.gpu
def test_the_gpu_gives_the_images_of_the_cpu(images):
    device = torch.device("cuda:0")
    made = augmentation_of(images, **ALL)
    sampled = made.sample(300, epoch=0)
    expected = made(images, sampled)
    on_gpu = augmentation_of(images, device, **ALL)
    result = on_gpu(images.to(device), sampled.to(device)).cpu()
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(result == 0, expected == 0)


# Descriptions


@pytest.mark.parametrize(
    ("params", "description"),
    [
        ({"crop_padding": 4}, "shifted by up to 4 pixels"),
        ({"crop_size": 28}, "cropped to a random square of 28 pixels"),
        ({"hflip": "random"}, "mirrored at random"),
        ({"hflip": "alternating"}, "mirrored in every second epoch"),
        ({"scale": 0.2}, "scaled in width and height by up to 20 %"),
        ({"degrees": 10.0}, "rotated by up to 10°"),
        ({"color_jitter": 0.25}, "contrast, saturation and brightness changed by up to 25 %"),
        ({"pca_lighting_std": 0.1}, "colours shifted along the pixels' principal components"),
        ({"cutout": 8}, "a square of 8×8 pixels hidden"),
        ({"random_erasing_prob": 0.25}, "a rectangle of 25 % of the images filled with noise"),
        (
            {"cutmix_prob": 0.5, "cutmix_end": 0.8},
            "a square exchanged in 50 % of the pairs in the first 80 % of the epochs",
        ),
        ({"cutmix_prob": 0.5, "cutmix_end": 1.0}, "a square exchanged in 50 % of the pairs"),
        ({"cutmix_prob": 0.5, "cutmix_end": 0.0}, ""),
        (
            {"crop_size": 28, "crop_padding": 2, "degrees": 5.0, "scale": 0.1, "cutout": 4},
            "cropped to a random square of 28 pixels, shifted by up to 2 pixels, scaled in width "
            "and height by up to 10 %, rotated by up to 5°, a square of 4×4 pixels hidden",
        ),
    ],
)
def test_the_description_follows_the_parameters(params, description):
    assert describe_augmentation(settings(**params)) == description


# A new transform


class TrainWithDimming(config.Train):
    dimming: float


class Dimming(PixelTransform):
    """Move each image towards the mean by a random share."""

    name = "dimming"
    columns = ("factor",)

    @classmethod
    def is_active(cls, params):
        return params.dimming > 0

    @classmethod
    def description(cls, params):
        return f"dimmed by up to {params.dimming}"

    def sample(self, n, generator):
        return 1 - self.params.dimming * torch.rand(n, 1, generator=generator)

    def __call__(self, x, sampled):
        return x * sampled[:, :, None, None]


def test_a_transform_is_added_by_a_class_a_line_and_a_parameter(images, monkeypatch):
    monkeypatch.setattr(augmentation, "TRANSFORMS", (*TRANSFORMS, Dimming))
    without, params = (
        TrainWithDimming(**settings(epochs=1, hflip="random").model_dump(), dimming=dimming)
        for dimming in (0.0, 0.5)
    )
    assert describe_augmentation(params) == "mirrored at random, dimmed by up to 0.5"
    made = Augmentation(images, MEAN, STD, params, CPU)
    sampled = made.sample(300, epoch=0)
    x = Augmentation(images, MEAN, STD, without, CPU)(images, sampled)
    assert torch.equal(made(images, sampled), x * made.select(sampled, "dimming")[:, :, None, None])
    first, second = (train(seeded(), changed).losses[0] for changed in (params, without))
    assert first != pytest.approx(second, rel=1e-6)
