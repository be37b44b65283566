"""Metrics of a classifier, from labels and probabilities alone."""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]  # (N,)
Floats = NDArray[np.float64]


def confusion(labels: Labels, predicted: Labels, num_classes: int) -> NDArray[np.int64]:
    """Confusion matrix (K, K): the number of images of class [row] predicted as [column]."""
    cells = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def accuracy(labels: Labels, predicted: Labels) -> float:
    """Share of images whose predicted class is the true one, in [0, 1]."""
    return float((labels == predicted).mean())


def top_accuracy(labels: Labels, probabilities: Floats, k: int) -> float:
    """Share of images whose class is among the `k` most probable. probabilities: (N, K)."""
    top = np.argpartition(probabilities, -k, axis=1)[:, -k:]
    return float((top == labels[:, None]).any(axis=1).mean())


def precision_and_recall(matrix: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """(K,) each: the share of a class's predictions that are correct, and of its images.

    matrix: of `confusion`. A class that is never predicted has precision 0. The recall of a
    class without images is undefined: NaN.
    """
    correct = np.diag(matrix).astype(np.float64)
    predicted, actual = matrix.sum(axis=0), matrix.sum(axis=1)
    recall = np.divide(correct, actual, where=actual > 0, out=np.full(len(actual), np.nan))
    return correct / np.maximum(predicted, 1), recall


def balanced_accuracy(recall: Floats) -> float:
    """The mean recall (K,) of the classes, of those that have images: each counts alike."""
    return float(np.nanmean(recall))


def calibration_error(correct: NDArray[np.bool_], confidence: Floats, num_bins: int) -> float:
    """Expected calibration error (Guo et al., arXiv 1706.04599, equation 3).

    Predictions are grouped into bins of equal width by confidence (N,), in [0, 1]. The error
    is the mean of |accuracy - confidence| over the bins, weighted by their size.
    """
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(confidence))


def cross_entropy(labels: Labels, log_probabilities: Floats) -> float:
    """Mean negative log-likelihood of the true classes, in nats."""
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())
