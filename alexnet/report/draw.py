"""All pictures of a run, made in one call."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexnet.evaluation.metrics import confusion
from alexnet.report.confusion import confusion_matrix
from alexnet.report.costs import costs
from alexnet.report.curves import DASHED, accuracy_curves, learning_rate, loss_curves
from alexnet.report.diagram import architecture
from alexnet.report.filters import (
    conv1_filters,
    layer_filters,
    parent_filters,
    weight_histogram,
)
from alexnet.report.interpretability import activation_layer, convolutions
from alexnet.report.logits import logit_bars
from alexnet.report.maps import feature_maps, layer_maps
from alexnet.report.probe import evenly_spaced
from alexnet.report.recall import recall_by_class
from alexnet.report.reliability import reliability_diagram
from alexnet.report.retrieval import activating_patches, nearest_neighbours
from alexnet.report.run import Ints, Run
from alexnet.report.saliency import saliency
from alexnet.report.samples import mistakes, training_samples
from alexnet.report.sections import PARENT_NEIGHBOURS, PICTURES
from alexnet.report.stability import stability
from alexnet.report.start import Start
from alexnet.report.style import TitledFigure, save, save_body
from alexnet.report.volumes import volumes

MAX_COLUMNS = 5  # convolutions side by side in the picture of feature maps
NUM_IMAGES = 4  # in the picture of a single layer

# The files that `draw_all` writes.
WRITTEN = re.compile(
    rf"({'|'.join(each.name for each in (*PICTURES, PARENT_NEIGHBOURS))})\.(png|svg)"
    r"|layers/\w+_(weights|maps)\.svg"
)

logger = logging.getLogger(__name__)


def draw_all(folder: Path, run: Run, start: Start | None = None) -> list[str]:
    """Draw every picture into `folder` as PNG and SVG and return their names.

    Pictures of single layers are written to `folder`/layers, as SVG alone. start: of a run that
    started from other weights.
    """
    names = []
    logger.info("drawing the pictures")
    for name, figure in _pictures(run, start):
        save(figure, folder, name)
        names.append(name)
    for name, figure in _layers(run):
        save_body(figure, folder / "layers" / f"{name}.svg")
    return names


def _pictures(run: Run, start: Start | None) -> Iterator[tuple[str, TitledFigure]]:
    """One after the other, so that only one is in memory."""
    matrix = confusion(run.actual, run.predicted, len(run.classes))
    yield "architecture", architecture(run.layers, run.variant, run.input_shape)
    yield "volumes", volumes(run.layers, run.variant, run.input_shape)
    trained = {row["layer"] for row in run.layer_rows}
    frozen = [name for name in run.weights if name not in trained] if start else []
    yield "costs", costs(run.trained_layers, run.times, run.profiled_on, run.is_folded, frozen)
    samples = run.samples, run.augmented, run.sample_labels
    yield "training_samples", training_samples(*samples, run.classes, run.augmentation)
    from_nothing = start.from_nothing if start else ()
    dashed = DASHED if from_nothing else ""
    yield "loss", loss_curves(run.history, from_nothing, dashed)
    note = dashed + (start.probe_note if start else "")
    yield "accuracy", accuracy_curves(run.history, from_nothing, note)
    yield "learning_rate", learning_rate(run.history)
    yield "stability", stability(run.layer_rows, run.is_folded, frozen)
    yield "confusion_matrix", confusion_matrix(matrix, run.classes)
    yield "recall_by_class", recall_by_class(matrix, run.classes)
    correct = run.actual == run.predicted
    yield "reliability", reliability_diagram(correct, run.confidence, run.calibration_bins)
    yield "mistakes", _mistakes(run)
    filters = run.initial_conv1, run.weights["conv1"]
    if start:
        yield "conv1_filters", parent_filters(*filters, start.owner, run.is_grey)
    else:
        yield "conv1_filters", conv1_filters(*filters, run.num_whitened, run.is_grey)
    yield from _probes(run)
    if start:
        yield "parent_neighbours", _parent_neighbours(run, start)


def _parent_neighbours(run: Run, start: Start) -> TitledFigure:
    labels, probes = run.actual[run.probes.queries], run.probes
    return nearest_neighbours(
        run.test_images[probes.queries],
        labels.tolist(),
        start.neighbours,
        start.neighbour_labels,
        run.classes,
        probes.hidden_layer,
        start.num_compared,
        float((probes.neighbour_labels == labels[:, None]).mean()),
    )


def _mistakes(run: Run) -> TitledFigure:
    worst = most_confident_mistakes(run.actual, run.predicted, run.confidence, run.num_mistakes)
    return mistakes(
        run.test_images[worst],
        run.actual[worst].tolist(),
        run.predicted[worst].tolist(),
        run.confidence[worst].tolist(),
        run.classes,
        int((run.actual != run.predicted).sum()),
    )


def _probes(run: Run) -> Iterator[tuple[str, TitledFigure]]:
    probes, classes = run.probes, run.classes
    images = run.test_images[probes.probed]
    labels = [int(run.actual[index]) for index in probes.probed]
    names = evenly_spaced(convolutions(run.layers), MAX_COLUMNS)
    shown = [activation_layer(run.layers, name) for name in names]
    maps = {name: probes.outputs[name] for name in shown}
    yield "feature_maps", feature_maps(images, labels, maps, probes.probabilities, classes)
    searched = run.input_shape[1], probes.num_searched
    yield "activating_patches", activating_patches(probes.patches, *searched, classes)
    predicted = [int(run.predicted[index]) for index in probes.probed]
    confidence = probes.probabilities[range(len(predicted)), predicted].tolist()
    arrays = probes.gradients, probes.occlusions, probes.occlusion_side
    yield "saliency", saliency(images, predicted, confidence, classes, *arrays, run.is_grey)
    yield (
        "neighbours",
        nearest_neighbours(
            run.test_images[probes.queries],
            run.actual[probes.queries].tolist(),
            probes.neighbours,
            probes.neighbour_labels,
            classes,
            probes.hidden_layer,
            probes.num_compared,
        ),
    )


def _layers(run: Run) -> Iterator[tuple[str, TitledFigure]]:
    probed = run.probes.probed[:NUM_IMAGES]
    images, labels = run.test_images[probed], run.actual[probed].tolist()
    for layer in run.layers:
        if layer.name in run.weights:
            draw = layer_filters if layer.kind == "conv" else weight_histogram
            yield f"{layer.name}_weights", draw(run.weights[layer.name])
        if layer.name in run.probes.outputs:
            values = run.probes.outputs[layer.name][: len(images)]
            if layer is run.layers[-1]:
                yield f"{layer.name}_maps", logit_bars(images, values, labels, run.classes)
            else:
                yield f"{layer.name}_maps", layer_maps(images, values)


def most_confident_mistakes(
    actual: Ints, predicted: Ints, confidence: NDArray[np.floating], number: int
) -> list[int]:
    """Indices of up to `number` wrong predictions, the most confident first."""
    wrong = np.flatnonzero(actual != predicted)
    order = np.argsort(-confidence[wrong], kind="stable")[:number]
    return [int(index) for index in wrong[order]]
