"""All pictures of a run, made in one call."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from alexnet.evaluation.metrics import confusion
from alexnet.report.classes import hardest_classes
from alexnet.report.confusion import confusion_matrix
from alexnet.report.costs import costs
from alexnet.report.curves import accuracy_curves, learning_rate, loss_curves
from alexnet.report.diagram import architecture
from alexnet.report.filters import conv1_filters
from alexnet.report.maps import feature_maps
from alexnet.report.neighbours import neighbours
from alexnet.report.one_layer import layer_filters, layer_maps, layer_weights
from alexnet.report.patches import exciting_patches
from alexnet.report.reliability import reliability
from alexnet.report.run import Ints, Run
from alexnet.report.saliency import saliency
from alexnet.report.samples import mistakes, training_samples
from alexnet.report.stability import stability
from alexnet.report.style import save, save_file
from alexnet.report.volumes import volumes

IN_ROWS = ("conv1", "conv2", "conv3", "conv4", "conv5")  # followed side by side


def draw_all(folder: Path, run: Run, say: Callable[[str], object] = lambda line: None) -> list[str]:
    """Draw every picture into `folder` as PNG and SVG and return their names.

    Those of single layers, as SVG alone, lie in `folder`/layers. `say` is told the name of
    each picture when it is written.
    """
    names = []
    for name, figure in _pictures(run):
        save(figure, folder, name)
        say(name)
        names.append(name)
    for name, figure in _layers(run):
        save_file(figure, folder / "layers" / f"{name}.svg")
    say("layers, one by one")
    return names


def _pictures(run: Run) -> Iterator[tuple[str, Figure]]:
    """One after the other: only one is in memory."""
    matrix = confusion(run.actual, run.predicted, len(run.classes))
    yield "architecture", architecture(run.layers, run.variant, run.input_shape)
    yield "volumes", volumes(run.layers, run.variant, run.input_shape)
    yield "costs", costs(run.trained_layers, run.times, run.timed_on)
    yield (
        "training_samples",
        training_samples(
            run.samples, run.augmented, run.sample_labels, run.classes, run.augmentation
        ),
    )
    yield "loss", loss_curves(run.history)
    yield "accuracy", accuracy_curves(run.history)
    yield "learning_rate", learning_rate(run.history)
    yield "stability", stability(run.layer_rows)
    yield "confusion_matrix", confusion_matrix(matrix, run.classes)
    yield "hardest_classes", hardest_classes(matrix, run.classes)
    correct = run.actual == run.predicted
    yield "reliability", reliability(correct, run.confidence, run.calibration_bins)
    yield "mistakes", _mistakes(run)
    yield "conv1_filters", conv1_filters(run.conv1_before, run.weights["conv1"])
    yield from _inside(run)


def _mistakes(run: Run) -> Figure:
    worst = most_confident_mistakes(run.actual, run.predicted, run.confidence, run.num_mistakes)
    return mistakes(
        run.test_images[worst],
        [run.classes[run.actual[index]] for index in worst],
        [run.classes[run.predicted[index]] for index in worst],
        [float(run.confidence[index]) for index in worst],
    )


def _inside(run: Run) -> Iterator[tuple[str, Figure]]:
    inside, classes = run.inside, run.classes
    images = run.test_images[inside.shown]
    labels = [int(run.actual[index]) for index in inside.shown]
    rows = {name: _behind_relu(run, name) for name in IN_ROWS}
    yield "feature_maps", feature_maps(images, labels, rows, inside.probabilities, classes)
    searched = run.input_shape[1], inside.num_searched
    yield "exciting_patches", exciting_patches(inside.patches, *searched)
    answers = [int(run.predicted[index]) for index in inside.shown]
    sure = inside.probabilities[range(len(answers)), answers].tolist()
    names = [classes[k] for k in answers]
    pictures = inside.gradients, inside.hidden, inside.hidden_side
    yield "saliency", saliency(images, names, sure, *pictures)
    yield (
        "neighbours",
        neighbours(
            run.test_images[inside.queries],
            [classes[run.actual[index]] for index in inside.queries],
            inside.nearest,
            [[classes[k] for k in row] for row in inside.nearest_labels],
            inside.num_compared,
        ),
    )


def _behind_relu(run: Run, name: str) -> NDArray[np.float32]:
    """What a layer gives, or where a ReLU follows it what that leaves of it."""
    names = [layer.name for layer in run.layers]
    after = run.layers[names.index(name) + 1]
    return run.inside.maps[after.name if after.kind == "relu" else name]


def _layers(run: Run) -> Iterator[tuple[str, Figure]]:
    images = run.test_images[run.inside.shown[:4]]
    for layer in run.layers:
        if layer.name in run.weights:
            draw = layer_filters if layer.kind == "conv" else layer_weights
            yield f"{layer.name}_weights", draw(run.weights[layer.name])
        if layer.name in run.inside.maps:
            maps = run.inside.maps[layer.name][: len(images)]
            yield f"{layer.name}_maps", layer_maps(images, maps)


def most_confident_mistakes(
    actual: Ints, predicted: Ints, confidence: NDArray[np.floating], number: int
) -> list[int]:
    """Indices of up to `number` wrong answers, the most confident first."""
    wrong = np.flatnonzero(actual != predicted)
    order = np.argsort(-confidence[wrong], kind="stable")[:number]
    return [int(index) for index in wrong[order]]
