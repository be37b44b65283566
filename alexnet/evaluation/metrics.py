"""How good a classifier is: each figure from labels and probabilities alone."""

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]  # (N,)
Floats = NDArray[np.float64]


def confusion(labels: Labels, predicted: Labels, num_classes: int) -> NDArray[np.int64]:
    """(K, K): how often an image of class [row] was taken for class [column]."""
    cells = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return cells.reshape(num_classes, num_classes)


def accuracy(labels: Labels, predicted: Labels) -> float:
    return float((labels == predicted).mean())


def top_accuracy(labels: Labels, probabilities: Floats, k: int) -> float:
    """Share of images whose class is among the `k` most probable. probabilities: (N, K)."""
    best = np.argpartition(probabilities, -k, axis=1)[:, -k:]
    return float((best == labels[:, None]).any(axis=1).mean())


def precision_and_recall(matrix: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Per class: the share of its predictions that are right, of its images that are found.

    A class that is never predicted has precision 0.
    """
    right = np.diag(matrix).astype(np.float64)
    predicted, actual = matrix.sum(axis=0), matrix.sum(axis=1)
    return right / np.maximum(predicted, 1), right / np.maximum(actual, 1)


def calibration_error(correct: NDArray[np.bool_], confidence: Floats, num_bins: int) -> float:
    """Expected calibration error (Guo et al., arXiv 1706.04599, equation 3).

    Predictions are sorted into equally wide bins of confidence; the error is the
    mean distance between confidence and accuracy over the bins, weighted by size.
    """
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = np.bincount(bins, weights=correct - confidence, minlength=num_bins)
    return float(np.abs(gaps).sum() / len(confidence))


def cross_entropy(labels: Labels, log_probabilities: Floats) -> float:
    """Mean negative log-likelihood of the true classes, in nats."""
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())
