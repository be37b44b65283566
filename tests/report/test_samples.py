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


@pytest.mark.parametrize("number", [1, 6, 10, 24])
@pytest.mark.parametrize("name", ["cat", pytest.param("automobile", marks=pytest.mark.slow), LONG])
def test_both_pictures_are_legible(crops, number, name):
    images, labels = crops[:number], np.zeros(number, int)
    figure = training_samples(images, images[None, :, :, ::-1], labels, [name], "mirrored")
    assert_legible(figure)
    assert len(pixels_of(figure)) == 2 * number
    figure = mistakes(
        images, [0] * number, [1] * number, [0.97] * number, ["dog", name], 2 * number
    )
    assert_legible(figure)
    assert len(pixels_of(figure)) == number


def test_each_image_stands_above_its_augmented_versions(crops):
    augmented = np.stack([crops[:2, :, ::-1], crops[:2, ::-1]])
    figure = training_samples(crops[:2], augmented, np.array([1, 0]), ["cat", "dog"], "turned")
    expected = [crops[0], *augmented[:, 0], crops[1], *augmented[:, 1]]
    np.testing.assert_array_equal(pixels_of(figure), expected)
    assert all_text(figure).index("dog") < all_text(figure).index("cat")
    same = crops[:3], crops[None, :3], np.zeros(3, int), ["cat"]
    assert "without augmentation" not in all_text(training_samples(*same, "rarely erased"))
    figure = training_samples(*same, "")
    assert "without augmentation" in all_text(figure)


def test_a_mistake_has_its_prediction_label_and_confidence(crops):
    text = all_text(mistakes(crops[:1], [1], [0], [0.97], ["cat", "dog"], 1))
    assert "true: dog predicted: cat 97 %" in text
    assert "No mistakes" in all_text(mistakes(crops[:0], [], [], [], ["cat"], 0))


def test_grey_images_are_grey_and_names_are_no_formulas(crops):
    figure = mistakes(crops[:1, ..., :1], [0], [1], [0.5], ["$", "$x_2$"], 1)
    assert pixels_of(figure)[0].shape == (32, 32)
    assert "true: $ predicted: $x_2$" in all_text(figure)
