"""How good the trained network is on images that had no part in its training."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexnet.errors import UserError
from alexnet.evaluation import metrics
from alexnet.files import atomic_write, require_file
from alexnet.network.inputs import normalise
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata
from alexnet.progress import progress

TOP = 5


@dataclass(frozen=True)
class Predictions:
    """One entry for each image: the class it has, the class it was given, how surely."""

    actual: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float64]  # probability of the predicted class


@torch.inference_mode()
def logits_of(
    model: AlexNet, metadata: ModelMetadata, images: Tensor, device: torch.device, batch_size: int
) -> Tensor:
    """Logits (N, K), float32 on the CPU, of images uint8 (N, H, W, C), in full precision."""
    model.to(device).eval()
    results = []
    with progress("evaluate", len(images)) as advance:
        for batch in batches(images, batch_size):
            x = normalise(batch.to(device), metadata.mean, metadata.std)
            results.append(model(x).cpu())
            advance(len(batch))
    return torch.cat(results)


def views_of(images: Tensor, size: int, views: str) -> Iterator[Tensor]:
    """Images (N, H, W, C) as several views (N, size, size, C).

    `mirrored`: the middle and its mirror image. `ten-crop`: the four corners and the
    middle, and their mirror images (the 2012 paper, section 4.1). Raises UserError if
    the images leave no room for corners.
    """
    top, left = images.shape[1] - size, images.shape[2] - size
    places = [(top // 2, left // 2)]
    if views == "ten-crop":
        if min(top, left) < 1:
            raise UserError(
                f"evaluate.views: ten-crop needs stored images larger than the {size} pixels "
                "that the network takes; set data.image_size and train.crop_size"
            )
        places += [(0, 0), (0, left), (top, 0), (top, left)]
    for y, x in places:
        crop = images[:, y : y + size, x : x + size]
        yield crop
        yield crop.flip(2)


def accuracy_of_views(logits: list[Tensor], labels: Tensor) -> float:
    """Accuracy of the mean of the views' probabilities; logits: (N, K) for each view."""
    mean = torch.stack([view.double().softmax(dim=1) for view in logits]).mean(dim=0)
    return float((mean.argmax(dim=1) == labels).double().mean())


def batches(images: Tensor, batch_size: int) -> Iterator[Tensor]:
    for start in range(0, len(images), batch_size):
        yield images[start : start + batch_size]


def compute_metrics(
    logits: Tensor, labels: Tensor, classes: tuple[str, ...], num_bins: int
) -> tuple[dict[str, object], Predictions]:
    """The figures of reports/evaluate/metrics.json, and each prediction."""
    log_probabilities = torch.log_softmax(logits.double(), dim=1).numpy()
    probabilities = np.exp(log_probabilities)
    actual = labels.numpy()
    predicted = logits.argmax(dim=1).numpy()  # of equals the first, as onnx's ArgMax
    confidence = probabilities[np.arange(len(actual)), predicted]

    matrix = metrics.confusion(actual, predicted, len(classes))
    precision, recall = metrics.precision_and_recall(matrix)
    figures: dict[str, object] = {
        "n": len(actual),
        "accuracy": metrics.accuracy(actual, predicted),
        "loss": metrics.cross_entropy(actual, log_probabilities),
        "calibration_error": metrics.calibration_error(actual == predicted, confidence, num_bins),
    }
    if len(classes) > TOP:  # with 5 classes or fewer it would always be 1
        figures["top5_accuracy"] = metrics.top_accuracy(actual, probabilities, TOP)
    figures["per_class"] = {
        name: {
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "support": int(matrix[k].sum()),
        }
        for k, name in enumerate(classes)
    }
    return figures, Predictions(actual, predicted, confidence)


COLUMNS = ["index", "actual", "predicted", "confidence"]


def write_predictions(path: Path, predictions: Predictions, classes: tuple[str, ...]) -> None:
    """A row for each test image, in the split's order, with class names."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        rows = zip(predictions.actual, predictions.predicted, predictions.confidence, strict=True)
        for index, (actual, predicted, confidence) in enumerate(rows):
            writer.writerow([index, classes[actual], classes[predicted], f"{confidence:.6f}"])


def read_predictions(path: Path, classes: tuple[str, ...]) -> Predictions:
    """Raises UserError if the file is missing or does not fit the classes."""
    numbers = {name: k for k, name in enumerate(classes)}
    with require_file(path).open(newline="", encoding="utf-8") as file:
        try:
            rows = [
                (numbers[row["actual"]], numbers[row["predicted"]], float(row["confidence"]))
                for row in csv.DictReader(file)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} does not fit the data set's classes ({error}); evaluate again"
            ) from None
    actual, predicted, confidence = zip(*rows, strict=True)
    return Predictions(np.array(actual), np.array(predicted), np.array(confidence))
