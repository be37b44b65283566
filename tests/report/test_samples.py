import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from alexnet.report.samples import mistakes, training_samples

from .conftest import LONG
from .layout import all_text, assert_legible


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    """24 crops of photographs, uint8 (24, 32, 32, 3)."""
    photograph = load_sample_images().images[0]
    return np.stack([photograph[10 * i : 10 * i + 32, 20 * i : 20 * i + 32] for i in range(24)])


def pixels_of(figure) -> list[np.ndarray]:
    return [image.get_array() for axes in figure.axes for image in axes.images]


@pytest.mark.parametrize("number", [1, 3, 10, 24])
@pytest.mark.parametrize("name", ["cat", "automobile", LONG])
def test_training_samples_are_legible(crops, number, name):
    images = crops[:number]
    figure = training_samples(
        images, images[None, :, :, ::-1], np.zeros(number, int), [name], "mirrored"
    )
    assert_legible(figure)
    assert len(pixels_of(figure)) == 2 * number


def test_each_image_stands_above_its_augmented_versions(crops):
    augmented = np.stack([crops[:2, :, ::-1], crops[:2, ::-1]])
    figure = training_samples(crops[:2], augmented, np.array([1, 0]), ["cat", "dog"], "turned")
    expected = [
        crops[0],
        augmented[0, 0],
        augmented[1, 0],
        crops[1],
        augmented[0, 1],
        augmented[1, 1],
    ]
    for image, wanted in zip(pixels_of(figure), expected, strict=True):
        np.testing.assert_array_equal(image, wanted)
    assert all_text(figure).index("dog") < all_text(figure).index("cat")


def test_samples_without_augmentation_have_their_own_title(crops):
    figure = training_samples(crops[:3], crops[None, :3], np.zeros(3, int), ["cat"], "")
    assert "without augmentation" in all_text(figure)


@pytest.mark.parametrize("number", [1, 6, 24])
@pytest.mark.parametrize("name", ["cat", "automobile", LONG])
def test_mistakes_are_legible(crops, number, name):
    figure = mistakes(crops[:number], ["dog"] * number, [name] * number, [0.97] * number)
    assert_legible(figure)
    assert len(pixels_of(figure)) == number


def test_a_mistake_has_its_prediction_label_and_confidence(crops):
    text = all_text(mistakes(crops[:1], ["dog"], ["cat"], [0.97]))
    assert "cat, not dog 97 %" in text
    assert "No mistakes" in all_text(mistakes(crops[:0], [], [], []))


def test_grey_images_are_drawn_in_grey(scans):
    images, _ = scans
    figure = mistakes(images[:1], ["0"], ["8"], [0.5])
    assert pixels_of(figure)[0].shape == (8, 8)


def test_a_name_is_never_read_as_a_formula(crops):
    assert "$x_2$, not $" in all_text(mistakes(crops[:1], ["$"], ["$x_2$"], [0.5]))
