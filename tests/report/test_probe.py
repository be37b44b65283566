"""The pictures of the network's inside: legible, and of what they say."""

import numpy as np
import pytest

from alexnet.report.classes import hardest_classes
from alexnet.report.costs import costs
from alexnet.report.maps import feature_maps, most_variable, squared
from alexnet.report.neighbours import neighbours
from alexnet.report.one_layer import layer_filters, layer_maps, layer_weights
from alexnet.report.patches import Channel, Row, cut, exciting_patches
from alexnet.report.probe import first_of_classes, median_confidence_images, num_looked_at, spread
from alexnet.report.reliability import reliability
from alexnet.report.saliency import saliency
from alexnet.report.stability import apart, stability

from .conftest import make_rows
from .layout import all_text, assert_legible

LONG = "a wholly unreasonable class name that no picture has room for"
RNG = np.random.default_rng(0)


# Which images


def test_typical_is_the_recognised_image_of_median_confidence():
    actual = np.array([0, 0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 0, 1, 1, 1, 0])
    confidence = np.array([0.9, 0.5, 0.7, 0.99, 0.8, 0.6, 0.4])
    assert median_confidence_images(actual, predicted, confidence, 6) == [2, 4]
    assert median_confidence_images(actual, predicted, confidence, 1) == [2]
    assert median_confidence_images(actual, 1 + actual, confidence, 2) == [0, 1], (
        "nothing is recognised"
    )


def test_queries_are_the_first_of_their_classes_right_or_wrong():
    assert first_of_classes(np.array([3, 3, 1, 0, 1]), 3) == [3, 2, 0]


def test_images_that_are_gone_through_are_all_or_spread_over_all(monkeypatch):
    assert spread(7).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert spread(47_999).tolist()[-1] == 47_998
    monkeypatch.setattr("alexnet.report.probe.MOST", 3)
    assert spread(7).tolist() == [0, 3, 6]
    assert num_looked_at(7, 2) == 5


def test_a_patch_is_what_the_value_sees():
    image = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    middle = cut(image, 1, 2, field=3, stride=2, start=-1)[..., 0]
    np.testing.assert_array_equal(middle, image[1:4, 3:6, 0])
    corner = cut(image, 0, 0, field=3, stride=2, start=-1)[..., 0]
    np.testing.assert_array_equal(corner, [[228, 228, 228], [228, 0, 1], [228, 8, 9]])
    assert cut(image, 2, 2, field=9, stride=2, start=-4) is image


# Stability


@pytest.mark.parametrize("num_epochs", [1, 45])
def test_stability_is_legible(num_epochs):
    figure = stability(make_rows(num_epochs))
    assert_legible(figure)
    text = all_text(figure)
    assert "differ by a factor of 10,000,000; most dead ReLUs in fc2, 25.0 %" in text
    gradient, weight, update, dead = figure.axes
    # Each with a leader to its name.
    assert [len(axes.lines) for axes in (gradient, weight, update, dead)] == [16, 16, 16, 14]
    assert gradient.lines[2].get_ydata()[-1] == pytest.approx(1e-2 / num_epochs)


def test_no_dead_relu_is_said_so():
    rows = [row | {"dead_relus": row["dead_relus"] and 0.0} for row in make_rows(2)]
    assert "no ReLU is dead" in all_text(stability(rows))
    with pytest.raises(ValueError, match="nothing to draw"):
        stability([])


def test_labels_keep_their_order_and_their_distance():
    placed = apart({"a": 0.99, "b": 0.98, "c": 0.5, "d": 0.0}, 0.1)
    assert placed["a"] == 1.0
    assert placed["b"] == pytest.approx(0.9)
    assert (placed["c"], placed["d"]) == (0.5, 0.0)


# Maps, patches, saliency, neighbours


def images(number: int) -> np.ndarray:
    return RNG.integers(0, 255, (number, 8, 8, 3)).astype(np.uint8)


def test_maps_are_chosen_and_placed():
    values = np.zeros((2, 20, 3, 3))
    values[0, 5] = 4.0
    values[1, 7] = 2.0
    chosen = most_variable(values)
    assert len(chosen) == 16
    assert {5, 7} <= set(chosen)
    picture = squared(values[0, chosen], values[:, chosen].max(axis=(0, 2, 3)))
    place = chosen.index(5)
    top, left = place // 4 * 13, place % 4 * 13
    assert (picture[top : top + 12, left : left + 12] == 1).all()
    assert np.nansum(picture) == 144


@pytest.mark.parametrize("name", ["cat", LONG])
def test_pictures_of_the_inside_are_legible(name):
    maps = {f"conv{k}": RNG.random((2, 20, 3 + k, 3 + k)) for k in range(1, 6)}
    probabilities = np.array([[0.7, 0.2, 0.1], [0.001, 0.999, 0.0]])
    classes = [name] * 3
    assert_legible(feature_maps(images(2), [0, 1], maps, probabilities, classes))
    patch = Channel(0, list(images(2)), [name] * 2)
    assert_legible(exciting_patches([Row("conv1", 11, [patch] * 6)], 32, 10_000))
    grids = RNG.random((6, 8, 8)), RNG.random((6, 5, 5)) * 0.5
    assert_legible(saliency(images(6), [name] * 6, [0.9] * 6, *grids, 8))
    near = images(6).reshape(1, 6, 8, 8, 3)
    assert_legible(neighbours(images(1), [name], near, [[name] * 5 + ["dog"]], 10_000))


def test_saliency_names_the_deepest_fall():
    hidden = np.full((2, 3, 3), 0.9)
    hidden[1, 1, 1] = 0.25
    figure = saliency(images(2), ["cat", "dog"], [0.9, 0.95], RNG.random((2, 8, 8)), hidden, 8)
    assert "hiding 8×8 pixels takes dog from 95 % down to 25 %" in all_text(figure)


def test_neighbours_count_those_of_the_same_class():
    near = images(4).reshape(1, 4, 8, 8, 3)
    text = all_text(neighbours(images(1), ["cat"], near, [["cat", "dog", "cat", "cat"]], 500))
    assert "75 % of these neighbours are of the test image's class" in text
    assert "the 4 of 500 training images" in text


@pytest.mark.parametrize("shape", [(96, 3, 5, 5), (256, 40, 3, 3)])
def test_a_layer_for_itself_is_legible(shape):
    figure = layer_filters(RNG.normal(size=shape))
    assert f"its {shape[0]} filters" in all_text(figure).lower()
    assert_legible(figure)
    assert_legible(layer_maps(images(4), RNG.normal(size=(4, 20, 8, 8))))
    assert "its 10 values" in all_text(layer_maps(images(4), RNG.normal(size=(4, 10))))
    assert "Its 1,000 weights" in all_text(layer_weights(RNG.normal(size=(10, 100))))


# Reliability, classes, costs


def test_reliability_says_by_how_much_confidence_is_off():
    """Eight of ten are right where it says 0.9, none of ten where it says 0.6."""
    confidence = np.array([0.9] * 10 + [0.6] * 10)
    correct = np.array([True] * 8 + [False] * 12)
    figure = reliability(correct, confidence, 5)
    text = all_text(figure)
    assert "too sure by 35.0 % on average; calibration error 35.0 %" in text
    points = figure.axes[0].lines[1]  # behind the diagonal
    np.testing.assert_allclose(points.get_xydata(), [[0.6, 0.0], [0.9, 0.8]])
    assert_legible(figure)


@pytest.mark.parametrize(("number", "name"), [(2, "cat"), (10, LONG), (100, "maple")])
def test_hardest_classes_are_legible(number, name):
    matrix = RNG.integers(0, 9, (number, number)) + 50 * np.eye(number, dtype=int)
    assert_legible(hardest_classes(matrix, [f"{k} {name}" for k in range(number)]))


def test_the_hardest_class_is_named_with_what_it_is_taken_for():
    text = all_text(hardest_classes(np.array([[30, 10], [1, 39]]), ["cat", "dog"]))
    assert "Cat is the hardest class: 75.0 % of its images are recognised" in text
    assert "the easiest is dog with 97.5 %" in text
    assert "dog (10×)" in text
    assert "No class is hard" in all_text(hardest_classes(np.diag([3, 3]), ["a", "b"]))


def test_costs_are_shares_of_the_operations_and_of_the_time(run):
    """conv2 holds 45 % of the operations here; each layer was given the same time."""
    figure = costs(run.trained_layers, run.times, "cpu")
    text = all_text(figure)
    backward = {"conv1": 2}  # the gradient of the image is not needed
    flops = {x.name: x.flops * backward.get(x.name, 3) for x in run.layers if x.flops}
    share = 100 * flops["conv2"] / sum(flops.values())
    assert f"{share:.1f} %" in text
    assert f"{100 / len(run.times):.1f} %" in text
    assert f"{40 * len(run.times)} µs in all" in text
    assert_legible(figure)
