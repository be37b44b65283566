"""Logits, metrics and predictions of the trained network on the test split."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexnet.errors import UserError
from alexnet.escape import for_csv
from alexnet.evaluation import metrics
from alexnet.evaluation.results import ADVICE, PredictionRow
from alexnet.files import atomic_write, read_rows
from alexnet.network.inputs import normalise
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata
from alexnet.progress import progress

TOP = 5


@dataclass(frozen=True)
class Predictions:
    """True class, predicted class and confidence of each image; arrays of shape (N,)."""

    actual: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]  # probability of the predicted class


@torch.no_grad()  # not inference_mode: parameters moved and tensors made there cannot train
def logits_of(
    model: AlexNet, metadata: ModelMetadata, images: Tensor, device: torch.device, batch_size: int
) -> Tensor:
    """Logits (N, K), float32 on the CPU, of images uint8 (N, H, W, C), in full precision.

    The model is moved to `device` and stays there; its layers' training modes are restored.
    """
    modes = {layer: layer.training for layer in model.modules()}
    model.to(device).eval()
    results = []
    with progress("evaluate", len(images)) as advance:
        for batch in images.split(batch_size):
            x = normalise(batch.to(device), metadata.mean, metadata.std)
            results.append(model(x).cpu())
            advance(len(batch))
    for layer, mode in modes.items():
        layer.training = mode
    return torch.cat(results)


def views_of(images: Tensor, size: int, views: str) -> Iterator[Tensor]:
    """Views (N, size, size, C) of images (N, H, W, C), for test-time augmentation.

    `mirrored`: the centre crop and its mirror image. `shifted`: the nine crops around it by a
    pixel in each direction, and their mirror images; where the image ends, it continues as its
    mirror image. `ten-crop`: the crops of the four corners and the centre, and their mirror
    images (the 2012 paper, section 4.1). Raises UserError if ten-crop is asked for and the images
    are not larger than `size`.
    """
    top, left = images.shape[1] - size, images.shape[2] - size
    match views:
        case "mirrored":
            places = [(top // 2, left // 2)]
        case "shifted":
            rows, columns = ([1, *range(side), side - 2] for side in images.shape[1:3])
            images = images[:, rows][:, :, columns]
            places = [(top // 2 + y, left // 2 + x) for y in range(3) for x in range(3)]
        case "ten-crop":
            if min(top, left) < 1:
                raise UserError(
                    f"evaluate.views: ten-crop needs stored images larger than the {size} pixels "
                    "that the network takes; set data.image_size and train.crop_size"
                )
            places = [(top // 2, left // 2), (0, 0), (0, left), (top, 0), (top, left)]
    for y, x in places:
        crop = images[:, y : y + size, x : x + size]
        yield crop
        yield crop.flip(2)


def accuracy_of_views(logits: list[Tensor], labels: Tensor) -> float:
    """Accuracy of the views' mean probabilities (the paper's section 4.1).

    logits: one tensor (N, K) for each view. labels: int64 (N,).
    """
    mean = torch.stack([view.double().softmax(dim=1) for view in logits]).mean(dim=0)
    return float((mean.argmax(dim=1) == labels).double().mean())


def compute_metrics(
    logits: Tensor, labels: Tensor, classes: tuple[str, ...], num_bins: int
) -> tuple[dict[str, object], Predictions]:
    """The metrics, as reports/evaluate/metrics.json holds them, and the predictions.

    logits: float (N, K); labels: int64 (N,); classes: K names; num_bins: of the calibration
    error. Raises UserError if a logit is not finite.
    """
    if not logits.isfinite().all():
        raise UserError("the network's logits are not finite: its training diverged; train again")
    log_probabilities = torch.log_softmax(logits.double(), dim=1).numpy()
    probabilities = np.exp(log_probabilities)
    actual = labels.numpy()
    predicted = logits.argmax(dim=1).numpy()  # the first of equals, as ONNX's ArgMax
    confidence = probabilities[np.arange(len(actual)), predicted]

    matrix = metrics.confusion(actual, predicted, len(classes))
    precision, recall = metrics.precision_and_recall(matrix)
    results: dict[str, object] = {
        "n": len(actual),
        "accuracy": metrics.accuracy(actual, predicted),
        "balanced_accuracy": metrics.balanced_accuracy(recall),
        "loss": metrics.cross_entropy(actual, log_probabilities),
        "calibration_error": metrics.calibration_error(actual == predicted, confidence, num_bins),
    }
    if len(classes) > TOP:  # with 5 classes or fewer it would always be 1
        results["top5_accuracy"] = metrics.top_accuracy(actual, probabilities, TOP)
    results["per_class"] = {
        name: {
            "precision": float(precision[k]),
            "recall": float(recall[k]) if support else None,
            "support": support,
        }
        for k, (name, support) in enumerate(zip(classes, matrix.sum(axis=1).tolist(), strict=True))
    }
    return results, Predictions(actual, predicted, confidence)


def write_predictions(path: Path, predictions: Predictions, classes: tuple[str, ...]) -> None:
    """Write a CSV with a row for each test image, in the split's order, with class names."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([field.name for field in fields(PredictionRow)])
        cells = list(map(for_csv, classes))
        rows = zip(predictions.actual, predictions.predicted, predictions.confidence, strict=True)
        for index, (actual, predicted, confidence) in enumerate(rows):
            writer.writerow([index, cells[actual], cells[predicted], f"{confidence:.6f}"])


def read_predictions(path: Path, classes: tuple[str, ...]) -> Predictions:
    """The predictions that `write_predictions` wrote.

    Raises UserError if the file is missing, empty or damaged, or its classes are not `classes`.
    """
    numbers = {for_csv(name): k for k, name in enumerate(classes)}
    rows = read_rows(path, PredictionRow, ADVICE)
    for number, row in enumerate(rows):
        unknown = {row.actual, row.predicted} - numbers.keys()
        if unknown or row.index != number:
            what = f"{unknown.pop()} is no class of the data set" if unknown else "is missing"
            raise UserError(f"{path}: image {number}: {what}; {ADVICE}")
    return Predictions(
        np.array([numbers[row.actual] for row in rows]),
        np.array([numbers[row.predicted] for row in rows]),
        np.array([row.confidence for row in rows]),
    )
