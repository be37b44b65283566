"""The words follow the switches."""

import pytest

from alexnet.report.augmentation import describe_augmentation
from tests.making import settings

SWITCHES = {
    "crop_padding": (4, "shifted by up to 4 pixels"),
    "hflip": ("random", "mirrored at random"),
    "scale": (0.2, "by up to 20 %"),
    "degrees": (10.0, "turned by up to 10°"),
    "color_jitter": (0.25, "brightness changed by up to 25 %"),
    "pca_lighting_std": (0.1, "principal components"),
    "cutout": (8, "a square of 8×8 pixels hidden"),
}


def test_nothing_is_said_of_what_is_off():
    assert describe_augmentation(settings()) == ""


@pytest.mark.parametrize("key", SWITCHES)
def test_each_switch_alone(key):
    value, words = SWITCHES[key]
    said = describe_augmentation(settings(**{key: value}))
    assert said.endswith(words) or words in said
    assert not any(other in said for k, (_, other) in SWITCHES.items() if k != key)


def test_cutmix_says_how_often_and_how_long():
    words = describe_augmentation(settings(cutmix_prob=0.5, cutmix_end=0.8))
    assert words == "for 50 % of the pairs in the first 80 % of the epochs a square traded"
    assert "epochs" not in describe_augmentation(settings(cutmix_prob=0.5, cutmix_end=1.0))
    assert describe_augmentation(settings(cutmix_prob=0.5, cutmix_end=0.0)) == ""


def test_all_together_in_the_order_in_which_they_are_done():
    said = describe_augmentation(settings(**{key: value for key, (value, _) in SWITCHES.items()}))
    places = [said.index(words) for _, words in SWITCHES.values()]
    assert places == sorted(places)
