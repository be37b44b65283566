"""Filters, feature maps, patches, saliency and neighbours: legible, and of the values given."""

import numpy as np
import pytest
import torch

from alexnet.report.filters import (
    as_images,
    conv1_filters,
    cosine_similarity,
    layer_filters,
    mosaic,
    parent_filters,
    spectral_flatness,
    weight_histogram,
)
from alexnet.report.logits import logit_bars
from alexnet.report.maps import feature_maps, layer_maps, most_variable, tile_maps
from alexnet.report.probe import ChannelPatches, LayerPatches
from alexnet.report.retrieval import activating_patches, nearest_neighbours
from alexnet.report.run import is_grey
from alexnet.report.saliency import saliency

from .conftest import LONG
from .layout import all_text, assert_legible

RNG = np.random.default_rng(0)


def images(number: int) -> np.ndarray:
    return RNG.integers(0, 255, (number, 8, 8, 3)).astype(np.uint8)


@pytest.mark.parametrize("shape", [(96, 3, 11, 11), (64, 3, 11, 11), (96, 1, 11, 11)])
def test_every_filter_is_drawn(shape):
    before, after = RNG.normal(size=(2, *shape)).astype(np.float32)
    figure = conv1_filters(before, after)
    first, second = (image.get_array() for axes in figure.axes for image in axes.images)
    for picture, weight in ((first, before), (second, after)):
        assert picture.shape[:2] == (shape[0] // 16 * 12 - 1, 16 * 12 - 1)
        corner = as_images(weight[:1])[0]
        np.testing.assert_array_equal(
            picture[:11, :11], corner if shape[1] == 3 else corner[..., 0]
        )
    text = all_text(figure)
    assert f"before training: {shape[0]} filters of 11×11" in text
    assert f"all {shape[0]} are still close to noise" in text
    assert_legible(figure)


def test_structured_filters_differ_from_noise():
    """A blob, an edge and a grating; of noise the flatness is exp(digamma(3)) / 3 = 0.84."""
    noise = np.random.default_rng(0).normal(size=(40, 3, 11, 11))
    assert spectral_flatness(noise).mean() == pytest.approx(0.84, abs=0.02)
    y, x = np.mgrid[-5:6, -5:6]
    blob, edge, grating = np.exp(-(x**2 + y**2) / 8), np.sign(x), np.cos(2.5 * x)
    shapes = np.stack([np.stack([shape] * 3) for shape in (blob, edge, grating)])
    noisy = shapes + 0.1 * noise[:3]
    assert spectral_flatness(noisy).max() < 0.5 * spectral_flatness(noise).min()
    mixed = noise.copy()
    mixed[:3] = noisy
    title = all_text(conv1_filters(noise, mixed))
    assert "3 of 40 have structure, 37 are still close to their initial noise" in title
    assert "structure to all 3" in all_text(conv1_filters(noise[:3], noisy))
    whitened = conv1_filters(noise, mixed, num_whitened=30)
    assert "noise" not in all_text(whitened)
    assert "30 computed from the training images, 10 random" in all_text(whitened)
    assert "start at random" in all_text(whitened)
    assert_legible(whitened)
    assert "start at random" not in all_text(conv1_filters(noise, mixed, num_whitened=40))
    assert spectral_flatness(np.zeros((1, 3, 11, 11)))[0] == 1


def test_filters_are_compared_with_the_parents():
    before = RNG.normal(size=(4, 3, 11, 11))
    after = np.stack([3 * before[0], -before[1], np.zeros_like(before[2]), before[3].copy()])
    after[3, 0], before[3, 1] = 0, 0
    before[3, 0], after[3, 1] = before[3, 2], before[3, 2]
    expected = [1, -1, 0, 0.5]
    assert cosine_similarity(before, after) == pytest.approx(expected, abs=1e-12)
    figure = parent_filters(before, after, "ImageNet's")
    assert_legible(figure)
    assert len([image for axes in figure.axes for image in axes.images]) == 2
    text = all_text(figure)
    assert "median cosine similarity with ImageNet's is 0.250" in text
    assert "before training: ImageNet's 4 filters of 11×11 pixels" in text
    frozen = parent_filters(before, before.copy(), "the parent's", is_grey=True)
    assert_legible(frozen)
    assert len([image for axes in frozen.axes for image in axes.images]) == 1
    assert "conv1 was frozen" in all_text(frozen)
    assert "after training, in the same order" not in all_text(frozen)


def test_zero_is_mid_grey_and_each_filter_reaches_one_end():
    weight = np.zeros((3, 1, 3, 3))
    weight[0, 0, 1, 1] = -0.02
    weight[1, 0, 0, 0] = 5.0
    pixels = as_images(weight)
    assert (pixels[0, 0, 0, 0], pixels[0, 1, 1, 0], pixels[1, 0, 0, 0]) == (0.5, 0.0, 1.0)
    np.testing.assert_array_equal(pixels[2], 0.5)


def test_a_mosaic_is_filled_row_by_row():
    squares = np.arange(5.0)[:, None, None, None] * np.ones((1, 2, 2, 1))
    picture = mosaic(squares, columns=3)[..., 0]
    assert picture.shape == (5, 8)
    assert picture[[0, 0, 0, 3, 3], [0, 3, 6, 0, 3]].tolist() == [0, 1, 2, 3, 4]
    assert picture[2, 0] == 1  # the white line between


def test_the_most_variable_maps_are_shown_in_order():
    values = np.zeros((2, 20, 3, 3))
    values[0, 5] = 4.0
    values[1, 7] = 2.0
    chosen = most_variable(values)
    assert len(chosen) == 16
    assert {5, 7} <= set(chosen)
    picture = tile_maps(values[0, chosen], values[:, chosen].max(axis=(0, 2, 3)))
    place = chosen.index(5)
    top, left = place // 4 * 13, place % 4 * 13
    assert (picture[top : top + 12, left : left + 12] == 1).all()
    assert np.nansum(picture) == 144


@pytest.mark.parametrize("name", [pytest.param("cat", marks=pytest.mark.slow), LONG])
def test_pictures_of_the_probes_are_legible(name):
    maps = {f"conv{k}": RNG.random((2, 20, 3 + k, 3 + k)) for k in range(1, 6)}
    probabilities = np.array([[0.7, 0.2, 0.1], [0.001, 0.999, 0.0]])
    assert_legible(feature_maps(images(2), [0, 1], maps, probabilities, [name] * 3))
    patches = ChannelPatches(0, list(images(2)), [0] * 2)
    classes = [name, f"{name}!"]
    layers = [LayerPatches("conv1", 11, [patches] * 6), LayerPatches("conv2", 40, [patches])]
    figure = activating_patches(layers, 32, 10_000, classes)
    assert_legible(figure)
    assert "receptive field 40×40 pixels: the whole image and its padding" in all_text(figure)
    assert "highest selectivity" in all_text(figure)
    of_all = all_text(activating_patches(layers, 32, 2, classes))  # nothing was selected
    assert "of only 2 test images, all are shown" in of_all
    assert "selective" not in of_all
    assert "on average" not in of_all
    arrays = RNG.random((6, 8, 8)), RNG.random((6, 5, 5)) * 0.5
    assert_legible(saliency(images(6), [0, 1] * 3, [0.9] * 6, classes, *arrays, 8))
    near = images(6).reshape(1, 6, 8, 8, 3)
    labels = np.array([[0] * 5 + [1]])
    assert_legible(nearest_neighbours(images(1), [0], near, labels, classes, "fc2", 10_000))


def test_saliency_names_the_largest_drop():
    occlusions = np.full((2, 3, 3), 0.9)
    occlusions[1, 1, 1] = 0.25
    arrays = RNG.random((2, 8, 8)), occlusions
    figure = saliency(images(2), [0, 1], [0.9, 0.95], ["cat", "dog"], *arrays, 8)
    expected = "occluding 8×8 pixels lowers the probability of dog from 95 % to 25 %"
    assert expected in all_text(figure)
    assert "mean colour" in all_text(figure)
    arrays = arrays[0], np.full((2, 3, 3), 0.9)  # three equal channels are grey, too
    text = all_text(saliency(images(2), [0, 1], [0.902, 0.904], ["a", "b"], *arrays, 8, True))
    assert "lowers no probability by 0.5 percentage points or more" in text
    assert "mean grey" in text


def test_one_image_with_a_colour_among_many_grey_ones():
    grey = torch.arange(257, dtype=torch.int32).to(torch.uint8)[:, None, None, None]
    grey = grey.repeat(1, 2, 2, 3)
    assert is_grey(grey)
    assert is_grey(grey[..., :1])
    grey[128, 0, 0, 2] += 1  # the one that 256 evenly spaced samples leave out
    assert not is_grey(grey)


def test_neighbours_of_the_same_class_are_counted():
    near = images(4).reshape(1, 4, 8, 8, 3)
    labels = np.array([[0, 1, 0, 0]])
    figure = nearest_neighbours(images(1), [0], near, labels, ["cat", "dog"], "fc7", 500)
    text = all_text(figure)
    assert "Nearest neighbours in fc7: 75 % are of the test image's class" in text
    assert "the 4 of 500 training images" in text


def test_neighbours_before_training_are_compared_with_those_after_it():
    near, labels = images(4).reshape(1, 4, 8, 8, 3), np.array([[0, 1, 0, 1]])
    figure = nearest_neighbours(images(1), [0], near, labels, ["cat", "dog"], "fc2", 500, 0.75)
    assert_legible(figure)
    text = " ".join(all_text(figure).split())
    assert "alone: 50 % are of the test image's class (in fc2 after training, 75 %)" in text
    assert "what the parent's convolutions give" in text


@pytest.mark.parametrize("shape", [(96, 3, 5, 5), (256, 40, 3, 3)])
def test_pictures_of_a_single_layer_are_legible(shape):
    figure = layer_filters(RNG.normal(size=shape))
    assert ("Its 96" if shape[0] == 96 else "96 of its 256") + " filters" in all_text(figure)
    assert_legible(figure)


def test_negative_outputs_have_colours_of_their_own():
    """conv1 has them, relu1 has none; the same values have the same sign in the picture."""
    values = RNG.normal(size=(2, 20, 8, 8))
    conv, relu = layer_maps(images(2), values), layer_maps(images(2), values.clip(min=0))
    maps = [figure.axes[-1].images[0] for figure in (conv, relu)]
    assert [each.get_clim() for each in maps] == [(-1, 1), (0, 1)]
    assert maps[0].get_cmap().name == "diverging"
    assert maps[1].get_cmap().name == "heat"
    assert "blue: negative" in all_text(conv)
    assert "none is negative" in all_text(relu)
    drawn = maps[0].get_array()
    first = most_variable(values)[0]
    np.testing.assert_array_equal(np.sign(drawn[:8, :8]), np.sign(values[1, first]))


@pytest.mark.parametrize("num_classes", [3, 10, 12])
def test_logits_are_bars_with_the_names_of_their_classes(num_classes):
    logits = RNG.normal(size=(4, num_classes)) * 5
    names = [f"class {k}" for k in range(num_classes)]
    figure = logit_bars(images(4), logits, [0, 1, 2, 0], names)
    assert_legible(figure)
    panels = [axes for axes in figure.axes if axes.patches]
    for axes, row in zip(panels, logits, strict=True):
        shown = {
            label.get_text(): bar.get_width()
            for label, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)
        }
        highest = sorted(row)[-10:]
        assert shown == {names[k]: value for k, value in enumerate(row) if value in highest}
    assert f"true: class 0 predicted: class {logits[0].argmax()}" in all_text(figure)
    assert_legible(logit_bars(images(2), logits[:2], [0, 1], [LONG] * num_classes))


def test_outputs_and_weights_of_a_single_layer():
    assert_legible(layer_maps(images(4), RNG.normal(size=(4, 20, 8, 8))))
    assert "10 values" in all_text(layer_maps(images(4), RNG.normal(size=(4, 10))))
    assert "Its 1,000 weights" in all_text(weight_histogram(RNG.normal(size=(10, 100))))
