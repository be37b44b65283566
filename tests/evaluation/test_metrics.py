"""Metrics of a classifier, against scikit-learn."""

import itertools

import numpy as np
import pytest
import sklearn.metrics

from alexnet.evaluation import metrics

random = np.random.default_rng(0)
NUM, CLASSES = 500, 7
LABELS = random.integers(0, CLASSES, NUM)
LOGITS = random.normal(size=(NUM, CLASSES)) + 2 * np.eye(CLASSES)[LABELS]
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
PREDICTED = PROBABILITIES.argmax(axis=1)


def test_confusion_precision_and_recall():
    matrix = metrics.confusion(LABELS, PREDICTED, CLASSES)
    np.testing.assert_array_equal(matrix, sklearn.metrics.confusion_matrix(LABELS, PREDICTED))
    expected = sklearn.metrics.precision_recall_fscore_support(LABELS, PREDICTED)
    precision, recall = metrics.precision_and_recall(matrix)
    np.testing.assert_allclose(precision, expected[0])
    np.testing.assert_allclose(recall, expected[1])
    # A class that is never predicted has precision 0.
    precision, recall = metrics.precision_and_recall(np.array([[3, 0], [2, 0]]))
    assert (precision.tolist(), recall.tolist()) == ([0.6, 0.0], [1.0, 0.0])


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_balanced_accuracy_is_of_the_classes_with_images():
    for labels in (LABELS, LABELS.clip(2)):
        matrix = metrics.confusion(labels, PREDICTED, CLASSES)
        _, recall = metrics.precision_and_recall(matrix)
        assert np.isnan(recall).tolist() == [k not in labels for k in range(CLASSES)]
        expected = sklearn.metrics.balanced_accuracy_score(labels, PREDICTED)
        assert metrics.balanced_accuracy(recall) == pytest.approx(expected)


def test_accuracy_and_top_accuracy():
    assert metrics.accuracy(LABELS, PREDICTED) == sklearn.metrics.accuracy_score(LABELS, PREDICTED)
    for k in (1, 3, 5):
        assert metrics.top_accuracy(LABELS, PROBABILITIES, k) == pytest.approx(
            sklearn.metrics.top_k_accuracy_score(LABELS, PROBABILITIES, k=k)
        )


def test_cross_entropy():
    assert metrics.cross_entropy(LABELS, np.log(PROBABILITIES)) == pytest.approx(
        sklearn.metrics.log_loss(LABELS, PROBABILITIES)
    )


def test_calibration_error_by_hand():
    # Two bins: 3 predictions of confidence 0.4, one correct; 2 of confidence 1.0, one correct.
    confidence = np.array([0.4, 0.4, 0.4, 1.0, 1.0])
    correct = np.array([True, False, False, True, False])
    expected = 3 / 5 * (0.4 - 1 / 3) + 2 / 5 * (1.0 - 1 / 2)
    assert metrics.calibration_error(correct, confidence, 2) == pytest.approx(expected)


@pytest.mark.parametrize("num_bins", [1, 10, 15])
def test_calibration_error_bin_by_bin(num_bins):
    confidence, correct = PROBABILITIES.max(axis=1), LABELS == PREDICTED
    edges = np.linspace(0, 1, num_bins + 1)
    expected = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (low <= confidence) & (confidence < high)
        if inside.any():
            gap = abs(correct[inside].mean() - confidence[inside].mean())
            expected += inside.mean() * gap
    assert metrics.calibration_error(correct, confidence, num_bins) == pytest.approx(expected)
