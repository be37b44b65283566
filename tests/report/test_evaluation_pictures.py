"""Confusion matrix, recall by class, calibration."""

import numpy as np
import pytest

from alexnet.report.confusion import confusion_matrix, confusions, matrix_box, shares
from alexnet.report.recall import recall_by_class
from alexnet.report.reliability import reliability_diagram

from .conftest import LONG
from .layout import all_text, assert_legible

CAT_DOG = np.array([[40, 2], [7, 33]])


@pytest.mark.parametrize(
    "num_classes", [2, 3, 10, 20, 21, pytest.param(100, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("picture", [confusion_matrix, recall_by_class])
def test_legible_with_few_and_many_classes(picture, num_classes):
    matrix = np.random.default_rng(0).integers(0, 30, (num_classes, num_classes))
    names = [f"sugar maple no {index}" for index in range(num_classes)]
    assert_legible(picture(matrix + 900 * np.eye(num_classes, dtype=int), names))


def test_title_states_accuracy_and_the_largest_confusion():
    text = all_text(confusion_matrix(CAT_DOG, ["cat", "dog"]))
    assert "accuracy 89.02 %; the largest confusion is true: dog, predicted: cat (7 of 40)" in text
    assert "orange" in text
    text = all_text(confusion_matrix(np.array([[3, 1], [1, 3]]), ["cat", "dog"]))
    assert "one of the 2 largest confusions is true: cat, predicted: dog (1 of 4)" in text
    text = all_text(confusion_matrix(np.array([[3, 0], [2, 3]]), ["cat", "dog"]))
    assert "the only confusion is true: dog, predicted: cat (2 of 5)" in text
    text = all_text(confusion_matrix(np.diag([3, 4]), ["cat", "dog"]))
    assert "orange" not in text
    assert "accuracy 100.00 %, no class is confused with another" in text


def test_cells_hold_counts_and_percentages():
    axes = confusion_matrix(CAT_DOG, ["cat", "dog"]).axes[0]
    written = {(text.get_text(), round(text.get_position()[0])) for text in axes.texts}
    assert written == {
        ("40", 0), ("95 %", 0), ("2", 1), ("5 %", 1),
        ("7", 0), ("18 %", 0), ("33", 1), ("82 %", 1),
    }  # fmt: skip


@pytest.mark.parametrize("names", [["cat", "dog"], [LONG, f"{LONG}!"]])
def test_links_lie_on_the_cells(names):
    """Where the page puts its links is where matplotlib has drawn the matrix."""
    figure = confusion_matrix(CAT_DOG, names)
    drawn, body = figure.axes[0].get_position(), figure.body
    height = figure.get_size_inches()[1]
    expected = (
        drawn.x0,
        (body.y1 - drawn.y1 * height) / body.height,
        drawn.width,
        drawn.height * height / body.height,
    )
    assert matrix_box(names) == pytest.approx(expected)


def test_colour_follows_the_share_of_the_row_not_the_count():
    colours = [
        confusion_matrix(np.array(matrix), ["many", "few"]).axes[0].images[0].get_array()
        for matrix in ([[80, 20], [0, 4]], [[4, 1], [0, 4]])
    ]
    np.testing.assert_array_equal(*colours)


def test_many_classes_are_listed_instead_of_written_into_cells():
    matrix = 10 * np.eye(100, dtype=int)
    matrix[3, 70] = 6
    figure = confusion_matrix(matrix, [f"class{index}" for index in range(100)])
    assert not figure.axes[0].texts
    assert "class3 → class70" in all_text(figure)


def test_confusions_are_ordered_and_shares_are_of_the_row():
    matrix = np.array([[9, 1, 0], [5, 9, 2], [0, 0, 9]])
    assert confusions(matrix) == [(1, 0, 5), (1, 2, 2), (0, 1, 1)]
    np.testing.assert_array_equal(shares(np.array([[0, 0], [1, 3]])), [[0, 0], [0.25, 0.75]])


def test_recall_names_the_lowest_the_highest_and_the_errors():
    text = all_text(recall_by_class(np.array([[30, 10], [1, 39]]), ["cat", "dog"]))
    assert "lowest for cat (75.0 %), highest for dog (97.5 %)" in text
    assert "dog (10×)" in text
    assert "every test image is classified correctly" in all_text(
        recall_by_class(np.diag([3, 3]), ["a", "b"])
    )
    one_absent = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0]])
    text = all_text(recall_by_class(one_absent, ["a", "b", "c"]))
    assert "50.0 % for every class with test images" in text
    assert_legible(recall_by_class(CAT_DOG, [LONG, f"{LONG}!"]))
    many = np.diag(np.arange(10, 40))  # a class of recall 1 is not among the 20 drawn
    many[:29, 29] = 3
    figure = recall_by_class(many, [f"class{k}" for k in range(30)])
    assert "highest for class29 (100.0 %)" in all_text(figure)
    assert "the 20 classes of lowest recall, of 30." in all_text(figure)
    assert "more have the recall" not in all_text(figure)
    figure = recall_by_class(np.ones((24, 24), int), [f"class{k}" for k in range(24)])
    assert "4 more have the recall of the last one" in all_text(figure)


def test_reliability_states_the_gap_between_confidence_and_accuracy():
    """Eight of ten are right at confidence 0.9, none of ten at 0.6."""
    confidence = np.array([0.9] * 10 + [0.6] * 10)
    correct = np.array([True] * 8 + [False] * 12)
    figure = reliability_diagram(correct, confidence, 5)
    expected = (
        "overconfident by 35.0 percentage points on average; expected calibration error 35.0 %"
    )
    assert expected in all_text(figure)
    points = figure.axes[0].lines[1]  # after the diagonal
    np.testing.assert_allclose(points.get_xydata(), [[0.6, 0.0], [0.9, 0.8]])
    assert_legible(figure)
