"""All pictures of a run, made in one call."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from alexnet.describe import Layer
from alexnet.figures.confusion import confusion_matrix
from alexnet.figures.curves import History, accuracy_curves, learning_rate, loss_curves
from alexnet.figures.diagram import architecture
from alexnet.figures.filters import conv1_filters
from alexnet.figures.samples import mistakes, training_samples
from alexnet.figures.style import save
from alexnet.metrics import confusion


class Images(Protocol):
    """Images uint8 (N, H, W, C) from which single ones can be taken: an array or a lazy file."""

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]: ...


def draw_all(
    folder: Path,
    *,
    history: History,
    classes: list[str],
    actual: NDArray[np.int64],
    predicted: NDArray[np.int64],
    confidence: NDArray[np.floating],
    test_images: Images,
    conv1_weight: NDArray[np.floating],
    samples: NDArray[np.uint8],
    augmented: NDArray[np.uint8],
    sample_labels: NDArray[np.int64],
    layers: list[Layer],
    variant: str,
    input_shape: tuple[int, int, int],
    num_mistakes: int,
    say: Callable[[str], object] = lambda line: None,
) -> list[str]:
    """Draw every picture into `folder` as PNG and SVG and return their names.

    `actual`, `predicted` (indices into `classes`) and `confidence` (of the answer)
    are (N), one per test image; `samples` and `augmented` are as
    `samples.training_samples` takes them. `say` is told the name of each picture
    when it is written.
    """
    worst = most_confident_mistakes(actual, predicted, confidence, num_mistakes)
    images = [test_images[index] for index in worst]
    pictures = {
        "architecture": architecture(layers, variant, input_shape),
        "training_samples": training_samples(samples, augmented, sample_labels, classes),
        "loss": loss_curves(history),
        "accuracy": accuracy_curves(history),
        "learning_rate": learning_rate(history),
        "confusion_matrix": confusion_matrix(confusion(actual, predicted, len(classes)), classes),
        "mistakes": mistakes(
            np.asarray(images, dtype=np.uint8),
            [classes[actual[index]] for index in worst],
            [classes[predicted[index]] for index in worst],
            [float(confidence[index]) for index in worst],
        ),
        "conv1_filters": conv1_filters(conv1_weight),
    }
    for name, figure in pictures.items():
        save(figure, folder, name)
        say(name)
    return list(pictures)


def most_confident_mistakes(
    actual: NDArray[np.int64],
    predicted: NDArray[np.int64],
    confidence: NDArray[np.floating],
    number: int,
) -> Sequence[int]:
    """Indices of up to `number` wrong answers, the most confident first."""
    wrong = np.flatnonzero(actual != predicted)
    order = np.argsort(-confidence[wrong], kind="stable")[:number]
    return [int(index) for index in wrong[order]]
