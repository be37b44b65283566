"""The linear probe: what the features of a parent are worth before any training.

A logistic regression on what the parent's convolutions give, fitted to the training images (Alain
and Bengio, "Understanding intermediate layers using linear classifier probes", arXiv 1610.01644).
A training that starts from the parent and ends below it uses these features worse than a linear
classifier does.
"""

import logging
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from alexnet.evaluation.evaluate import logits_of
from alexnet.evaluation.metrics import accuracy
from alexnet.network.collapse import num_copies
from alexnet.network.inputs import centre_crop
from alexnet.network.model import AlexNet
from alexnet.network.parent import ParentNetwork
from alexnet.network.summary import summarize
from alexnet.network.weights import ModelMetadata
from alexnet.training.loader import evenly_spaced

MAX_TRAIN_IMAGES = 5_000  # evenly spaced; the fit then takes seconds, of many classes a minute
MAX_STEPS, TOLERANCE = 500, 1e-3  # of L-BFGS
# The weight of the loss's sum against half the squared norm of the coefficients: a weak probe would
# flatter the network. Few features need little regularisation, and 9,216 of 5,000 images much.
STRENGTHS = (0.01, 1.0)
EVERY = 5  # of so many fitted images one is held out, to choose the strength

Split = tuple[Tensor, Tensor]  # images uint8 (N, H, W, C) as stored, and labels int64 (N)

logger = logging.getLogger(__name__)


def feature_layer(model: AlexNet, image_size: int) -> str:
    """The name of the layer whose output is fc1's input, without the average pool's copies."""
    names = [layer.name for layer in summarize(model, image_size)]
    copied = num_copies(model, image_size) > 1
    return names[names.index("avgpool" if copied else "fc1") - 1]


def features_of(
    model: AlexNet, metadata: ModelMetadata, images: Tensor, device: torch.device, batch_size: int
) -> NDArray[np.float32]:
    """What the convolutions give: (N, D) of images uint8 (N, H, W, C) in the network's size.

    In full precision. D: 256 for `cifar` at 32x32 pixels, else 9,216. The model stays on `device`.
    """
    found: list[Tensor] = []
    layer = model.get_submodule(feature_layer(model, metadata.image_size))
    with layer.register_forward_hook(
        lambda _, inputs, output: found.append(output.flatten(1).cpu())
    ):
        logits_of(model, metadata, images, device, batch_size)
    return torch.cat(found).numpy()


def linear_probe_accuracy(
    parent: ParentNetwork, train: Split, test: Split, device: torch.device, batch_size: int
) -> float:
    """The accuracy on the test images of a logistic regression on the parent's features.

    Each feature is standardised over the images that are fitted. The same images and weights give
    the same result.
    """
    chosen = evenly_spaced(len(train[0]), MAX_TRAIN_IMAGES)
    fitted, measured = (
        features_of(
            parent.model,
            parent.metadata,
            centre_crop(images, parent.metadata.image_size),
            device,
            batch_size,
        )
        for images in (train[0][chosen], test[0])
    )
    predicted = fit_and_predict(fitted, train[1][chosen].numpy(), measured)
    return accuracy(test[1].numpy(), predicted)


def fit_and_predict(
    features: NDArray[np.float32], labels: NDArray[np.int64], others: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Fit to features (N, D) and labels (N); the labels (M) predicted for others (M, D).

    The regularisation is chosen on a fifth of the N, held out; then all of them are fitted.
    """
    is_held_out = np.arange(len(labels)) % EVERY == EVERY - 1
    kept, held_out = features[~is_held_out], features[is_held_out]
    scores = {
        strength: (_predict(kept, labels[~is_held_out], held_out, strength) == labels[is_held_out])
        for strength in STRENGTHS
    }
    best = max(STRENGTHS, key=lambda strength: scores[strength].sum())
    return _predict(features, labels, others, best)


def _predict(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    others: NDArray[np.float32],
    strength: float,
) -> NDArray[np.int64]:
    if (labels == labels[0]).all() or not len(others):  # a regression needs two classes
        return np.full(len(others), labels[0])
    regression = LogisticRegression(C=strength, max_iter=MAX_STEPS, tol=TOLERANCE)
    scaler = StandardScaler().fit(features)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        regression.fit(scaler.transform(features), labels)
    if any(issubclass(warning.category, ConvergenceWarning) for warning in caught):
        logger.warning(f"linear probe: has not converged in {MAX_STEPS} steps; it may be worse")
    return np.asarray(regression.predict(scaler.transform(others)))
