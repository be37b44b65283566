"""Which images are shown inside the network, and what is seen there."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alexnet.network.summary import Layer
from alexnet.report.interpretability import FeatureExtractor, TopActivations, convolutions
from alexnet.report.patches import NUMBER, Channel, Row, cut

NUM_SHOWN = 6  # test images that are followed through the network
NUM_QUERIES, NUM_NEIGHBOURS = 5, 6  # as in figure 4 of the 2012 paper
MOST = 10_000  # images of a split that are gone through
NUM_CHANNELS = 6  # of a layer, whose strongest patches are shown

UNCHANGED = {"dropout", "flatten", "identity"}  # what these give is what they are given

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Inside:
    """What the pictures of the network's inside are drawn from."""

    shown: list[int]  # test images
    maps: dict[str, Floats]  # by layer: (M, C, h, w) or (M, features)
    probabilities: Floats  # (M, K)
    gradients: Floats  # (M, H, W)
    hidden: Floats  # (M, r, r): the class's probability with a square hidden there
    hidden_side: int
    patches: list[Row]
    num_searched: int  # test images, for patches
    queries: list[int]  # test images
    nearest: NDArray[np.uint8]  # (Q, k, H, W, C)
    nearest_labels: Ints  # (Q, k)
    num_compared: int


def look_inside(
    looking: FeatureExtractor,
    layers: list[Layer],
    test: tuple[Tensor, Ints],
    answers: tuple[Ints, NDArray[np.floating]],
    train: tuple[Tensor, Tensor],
    classes: list[str],
    say: Callable[[str], object],
    advance: Callable[[int], object] = lambda number: None,
) -> Inside:
    """test, train: images uint8 (N, H, W, C) and labels; answers: predicted, confidence.

    Goes once through up to 10,000 test and as many training images, evenly spread.
    """
    images, actual = test
    predicted, confidence = answers
    shown = median_confidence_images(actual, predicted, confidence, NUM_SHOWN)
    chosen = images[torch.tensor(shown)]
    given = torch.tensor(predicted[shown])
    changing = [layer.name for layer in layers if layer.kind not in UNCHANGED]
    maps, probabilities = looking.maps(chosen, changing)
    side = max(2, images.shape[1] // 4)
    hidden = [
        looking.occlusion(image, int(label), side, stride=max(1, side // 4))
        for image, label in zip(chosen, given, strict=True)
    ]
    say(f"maps, gradients and occlusions of {len(shown)} test images")

    searched = spread(len(images))
    peaks = looking.peaks(images[searched], advance)
    fields = {layer.name: layer for layer in layers}
    names = [classes[k] for k in actual[searched]]
    rows = [
        _row(fields[name], peaks[name], images[searched], names)
        for name in convolutions(looking.model)
    ]
    say(f"the strongest answers to {len(searched):,} test images")

    queries = first_of_classes(actual, NUM_QUERIES)
    every = spread(len(train[0]))
    gallery = train[0][every]
    near = looking.nearest(images[torch.tensor(queries)], gallery, NUM_NEIGHBOURS, advance)
    say(f"neighbours among {len(gallery):,} training images")
    return Inside(
        shown=shown,
        maps=maps,
        probabilities=probabilities,
        gradients=looking.gradient(chosen, given),
        hidden=np.stack(hidden),
        hidden_side=side,
        patches=rows,
        num_searched=len(searched),
        queries=queries,
        nearest=gallery[torch.from_numpy(near)].numpy(),
        nearest_labels=train[1][every].numpy()[near],
        num_compared=len(gallery),
    )


def spread(num_images: int) -> Tensor:
    """int64: the images that are gone through, all of them if there are not too many."""
    return (
        torch.linspace(0, num_images - 1, min(MOST, num_images), dtype=torch.float64).round().long()
    )


def num_looked_at(num_test: int, num_train: int) -> int:
    """How many images `look_inside` advances by."""
    return len(spread(num_test)) + len(spread(num_train))


def median_confidence_images(
    actual: Ints, predicted: Ints, confidence: NDArray[np.floating], number: int
) -> list[int]:
    """For classes spread evenly: the recognised image of median confidence, not the best one.

    Of classes of which nothing is recognised none is taken; if that are all, the first images.
    """
    right = actual == predicted
    known = np.unique(actual[right])
    if not len(known):
        return list(range(min(number, len(actual))))
    wanted = known[np.linspace(0, len(known) - 1, min(number, len(known))).round().astype(int)]
    chosen = []
    for k in wanted:
        candidates = np.flatnonzero(right & (actual == k))
        order = candidates[np.argsort(confidence[candidates], kind="stable")]
        chosen.append(int(order[len(order) // 2]))
    return chosen


def first_of_classes(actual: Ints, number: int) -> list[int]:
    """The first image of each of so many classes, spread evenly."""
    known = np.unique(actual)
    wanted = known[np.linspace(0, len(known) - 1, min(number, len(known))).round().astype(int)]
    return [int(np.flatnonzero(actual == k)[0]) for k in wanted]


def _row(layer: Layer, peaks: TopActivations, images: Tensor, names: list[str]) -> Row:
    field, stride, start = (
        layer.receptive_field,
        layer.receptive_field_stride,
        layer.receptive_field_start,
    )
    assert field is not None
    assert stride is not None
    assert start is not None
    channels = []
    for number in peaks.selective(NUM_CHANNELS):
        places = peaks.strongest(number, NUMBER)
        patches = [
            cut(images[image].numpy(), row, column, field, stride, start)
            for image, row, column in places
        ]
        channels.append(Channel(number, patches, [names[image] for image, _, _ in places]))
    return Row(layer.name, field, channels)
