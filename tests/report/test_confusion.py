import numpy as np
import pytest

from alexnet.report.confusion import confusion_matrix, confusions, shares

from .layout import all_text, assert_legible

CAT_DOG = np.array([[40, 2], [7, 33]])


def matrix_of(num_classes: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 30, (num_classes, num_classes)) + 900 * np.eye(num_classes, dtype=int)


@pytest.mark.parametrize("num_classes", [2, 3, 10, 20, 21, 100])
def test_legible_for_few_and_many_classes(num_classes):
    names = [f"sugar maple no {index}" for index in range(num_classes)]
    assert_legible(confusion_matrix(matrix_of(num_classes), names))


def test_title_states_accuracy_and_the_most_common_confusion():
    text = all_text(confusion_matrix(CAT_DOG, ["cat", "dog"]))
    assert "89.02 % right; most often dog is taken for cat (7 of 40)" in text


def test_no_confusion_is_said_so():
    text = all_text(confusion_matrix(np.diag([3, 4]), ["cat", "dog"]))
    assert "100.00 % right: no class is taken for another" in text


def test_cells_hold_counts_and_percentages():
    axes = confusion_matrix(CAT_DOG, ["cat", "dog"]).axes[0]
    written = {(text.get_text(), round(text.get_position()[0])) for text in axes.texts}
    assert written == {
        ("40", 0), ("95 %", 0), ("2", 1), ("5 %", 1),
        ("7", 0), ("18 %", 0), ("33", 1), ("82 %", 1),
    }  # fmt: skip


def test_colour_follows_the_share_of_the_row_not_the_count():
    crowded = np.array([[80, 20], [0, 4]])
    image = confusion_matrix(crowded, ["many", "few"]).axes[0].images[0].get_array()
    sparse = np.array([[4, 1], [0, 4]])
    np.testing.assert_array_equal(
        image, confusion_matrix(sparse, ["many", "few"]).axes[0].images[0].get_array()
    )


def test_many_classes_are_listed_instead_of_written_into_cells():
    matrix = 10 * np.eye(100, dtype=int)
    matrix[3, 70] = 6
    names = [f"class{index}" for index in range(100)]
    figure = confusion_matrix(matrix, names)
    assert not figure.axes[0].texts
    assert "class3 as class70" in all_text(figure)


def test_confusions_are_ordered_and_leave_out_right_answers():
    assert confusions(np.array([[9, 1, 0], [5, 9, 2], [0, 0, 9]])) == [
        (1, 0, 5),
        (1, 2, 2),
        (0, 1, 1),
    ]


def test_a_class_without_images_has_no_shares():
    np.testing.assert_array_equal(shares(np.array([[0, 0], [1, 3]])), [[0, 0], [0.25, 0.75]])
