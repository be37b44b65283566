"""What is drawn for an image: from the seed, the epoch and its place, and nothing else."""

import pytest
import torch

from alexnet.training.augmentation import draw
from tests.making import EVERYTHING, settings


@pytest.fixture
def images(tinted_digits):
    return tinted_digits


ALL = EVERYTHING | {"cutmix_end": 1.0, "epochs": 8}


@pytest.mark.parametrize("flip", ["random", "alternating"])
def test_what_is_drawn_depends_on_seed_epoch_and_image_alone(images, flip):
    params = settings(**(ALL | {"hflip": flip}))
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
    full = draw(images, 32, settings(**ALL), epoch=0)
    for key, nothing, touched in [
        ("hflip", "none", {"mirrored"}),
        ("scale", 0.0, {"frame"}),
        ("degrees", 0.0, {"frame"}),
        ("color_jitter", 0.0, {"tone"}),
        ("pca_lighting_std", 0.0, {"light"}),
        ("cutmix_prob", 0.0, {"patch"}),
    ]:
        less = draw(images, 32, settings(**(ALL | {key: nothing})), epoch=0)
        for name in vars(full):
            same = torch.equal(getattr(full, name), getattr(less, name))
            assert same == (name not in touched), (key, name)


def test_pairs_trade_squares_of_up_to_half_an_image_until_told_to_stop():
    many = torch.empty(1, 32, 32, 3, dtype=torch.uint8).expand(20_000, -1, -1, -1)
    params = settings(cutmix_prob=0.25, cutmix_end=0.5, epochs=6)
    top, left, side = draw(many, 32, params, epoch=2).patch.unbind(1)
    assert (side > 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert side.max() == 23  # 23 x 23 is about half of 32 x 32
    for place in (top, left):
        assert place.min() == 0
        assert (place + side).max() == 32
    of_area = (side[side > 0] / 32).square()
    assert of_area.mean().item() == pytest.approx(0.25, abs=0.01), "all areas alike"
    assert not draw(many, 32, params, epoch=3).patch[:, 2].any()
