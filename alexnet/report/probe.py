"""The probes that the report shows: of which images, and with what results."""

import logging
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexnet.network.summary import Layer
from alexnet.progress import progress
from alexnet.report.interpretability import (
    FeatureExtractor,
    TopActivations,
    activation_layer,
    convolutions,
    last_hidden_layer,
)

NUM_PROBED = 6  # test images whose activations, gradients and occlusions are shown
NUM_QUERIES, NUM_NEIGHBOURS = 5, 6  # as in figure 4 of the 2012 paper
MAX_IMAGES = 10_000  # of a split, for patches and neighbours
NUM_CHANNELS, NUM_PATCHES = 6, 9  # of a layer; of a channel
OUTSIDE = 228  # the grey of pixels beyond the image's edge

UNCHANGED = {"dropout", "flatten", "identity"}  # in evaluation their outputs are their inputs

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
T = TypeVar("T")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ChannelPatches:
    """A channel's patches of strongest activation, uint8 (h, w, C), and their images' labels."""

    channel: int
    patches: list[NDArray[np.uint8]]
    labels: list[int]


@dataclass(frozen=True)
class LayerPatches:
    """The patches of some channels of a layer; `field`: the side of its receptive field."""

    layer: str
    field: int
    channels: list[ChannelPatches]


@dataclass(frozen=True)
class ProbeResults:
    """The arrays from which the pictures of the network's inside are drawn.

    Of M probed images, Q queries with k neighbours each, and K classes. Image numbers are
    indices into the test split.
    """

    probed: list[int]
    outputs: dict[str, Floats]  # by layer: (M, C, h, w) or (M, features)
    probabilities: Floats  # (M, K)
    gradients: Floats  # (M, H, W)
    occlusions: Floats  # (M, r, r): the predicted class's probability with a square occluded
    occlusion_side: int  # pixels
    patches: list[LayerPatches]
    num_searched: int  # test images, for the patches
    hidden_layer: str  # whose activations the neighbours are nearest in
    queries: list[int]
    neighbours: NDArray[np.uint8]  # (Q, k, H, W, C), training images
    neighbour_labels: Ints  # (Q, k)
    num_compared: int  # training images, for the neighbours


def probe_network(
    extractor: FeatureExtractor,
    test: tuple[Tensor, Ints],
    predictions: tuple[Ints, NDArray[np.floating]],
    train: tuple[Tensor, Tensor],
) -> ProbeResults:
    """Probe the network with images of the test split, and compare them with training images.

    test, train: images uint8 (N, H, W, C) and labels (N). predictions: predicted class and
    confidence (N) for the test images. Up to 10,000 images of each split, evenly spaced,
    pass through the network once.
    """
    images, actual = test
    predicted, confidence = predictions
    layers = extractor.layers
    probed = median_confidence_images(actual, predicted, confidence, NUM_PROBED)
    probed_images, labels = images[torch.tensor(probed)], torch.tensor(predicted[probed])
    names = [layer.name for layer in layers if layer.kind not in UNCHANGED]
    outputs, probabilities = extractor.outputs(probed_images, names)
    side = max(2, images.shape[1] // 4)
    occlusions = [
        extractor.occlusion(image, int(label), side, stride=max(1, side // 4))
        for image, label in zip(probed_images, labels, strict=True)
    ]
    logger.info("activations, gradients and occlusions of %d test images", len(probed))

    searched, compared = (sample_indices(len(each), MAX_IMAGES) for each in (images, train[0]))
    queries = first_of_each_class(actual, NUM_QUERIES)
    gallery = train[0][compared]
    with progress("probe", len(searched) + len(compared)) as advance:
        top = extractor.top_activations(images[searched], advance)
        nearest = extractor.nearest(images[torch.tensor(queries)], gallery, NUM_NEIGHBOURS, advance)
    patches = [
        _layer_patches(name, layers, top[name], images[searched], actual[searched].tolist())
        for name in convolutions(layers)
    ]
    logger.info("top activations of %s test images", f"{len(searched):,}")
    logger.info("nearest neighbours among %s training images", f"{len(gallery):,}")
    return ProbeResults(
        probed=probed,
        outputs=outputs,
        probabilities=probabilities,
        gradients=extractor.gradient(probed_images, labels),
        occlusions=np.stack(occlusions),
        occlusion_side=side,
        patches=patches,
        num_searched=len(searched),
        hidden_layer=last_hidden_layer(layers),
        queries=queries,
        neighbours=gallery[torch.from_numpy(nearest)].numpy(),
        neighbour_labels=train[1][compared].numpy()[nearest],
        num_compared=len(gallery),
    )


def sample_indices(num_images: int, number: int) -> Tensor:
    """int64: the indices of at most `number` images, evenly spaced."""
    number = min(number, num_images)
    return torch.linspace(0, num_images - 1, number, dtype=torch.float64).round().long()


def evenly_spaced(values: list[T], number: int) -> list[T]:
    """At most `number` of the values, the first and the last included."""
    indices = np.linspace(0, len(values) - 1, min(number, len(values))).round().astype(int)
    return [values[index] for index in indices]


def median_confidence_images(
    actual: Ints, predicted: Ints, confidence: NDArray[np.floating], number: int
) -> list[int]:
    """One image of each of `number` classes: of the correct predictions that of median confidence.

    Classes without a correct prediction are left out; if all are, the first images are returned.
    """
    correct = actual == predicted
    known = np.unique(actual[correct]).tolist()
    if not known:
        return list(range(min(number, len(actual))))
    chosen = []
    for k in evenly_spaced(known, number):
        candidates = np.flatnonzero(correct & (actual == k))
        order = candidates[np.argsort(confidence[candidates], kind="stable")]
        chosen.append(int(order[len(order) // 2]))
    return chosen


def first_of_each_class(actual: Ints, number: int) -> list[int]:
    """The first image of each of `number` classes."""
    classes = evenly_spaced(np.unique(actual).tolist(), number)
    return [int(np.flatnonzero(actual == k)[0]) for k in classes]


def crop_receptive_field(
    image: NDArray[np.uint8], row: int, column: int, field: int, stride: int, start: int
) -> NDArray[np.uint8]:
    """The receptive field of value (row, column) of a map in the image (H, W, C): (side, side, C).

    field, stride, start: of `alexnet.network.summary.Layer`. Pixels outside the image are
    grey; for a field as large as the image or larger, the image itself is returned.
    """
    height, width, channels = image.shape
    if field >= min(height, width):
        return image
    top, left = start + row * stride, start + column * stride
    patch = np.full((field, field, channels), OUTSIDE, dtype=np.uint8)
    rows = slice(max(0, top), min(height, top + field))
    columns = slice(max(0, left), min(width, left + field))
    inside = image[rows, columns]
    y, x = rows.start - top, columns.start - left
    patch[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return patch


def _layer_patches(
    name: str, layers: list[Layer], top: TopActivations, images: Tensor, labels: list[int]
) -> LayerPatches:
    # The field is that of the layer whose output was taken: a pool before the ReLU enlarges it.
    source = activation_layer(layers, name)
    (layer,) = (layer for layer in layers if layer.name == source)
    field, stride, start = (
        layer.receptive_field,
        layer.receptive_field_stride,
        layer.receptive_field_start,
    )
    assert field is not None
    assert stride is not None
    assert start is not None
    channels = []
    for channel in top.selective_channels(NUM_CHANNELS, NUM_PATCHES):
        strongest = top.strongest(channel, NUM_PATCHES)
        patches = [
            crop_receptive_field(images[image].numpy(), row, column, field, stride, start)
            for image, row, column in strongest
        ]
        channels.append(
            ChannelPatches(channel, patches, [labels[image] for image, *_ in strongest])
        )
    return LayerPatches(name, field, channels)
