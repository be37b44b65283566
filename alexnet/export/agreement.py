"""Whether the exported model gives the labels that another computation of the network gave.

Two devices, or two libraries, round differently. Where an image's two highest logits are
nearly equal, either class may then come first. Such a difference is within the tolerance of
the logits; every other one is an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alexnet.errors import UserError
from alexnet.evaluation.evaluate import Predictions

NUM_LISTED = 10  # images in a message


@dataclass(frozen=True)
class LabelDifference:
    """An image with another label: class numbers, and how far apart the model's logits are."""

    index: int  # of the image in the split
    label: int  # the exported model's
    other: int
    margin: float  # the logit of `label` minus that of `other`


def differing_labels(
    outputs: dict[str, NDArray[Any]], other: NDArray[Any]
) -> list[LabelDifference]:
    """The images whose label is not `other` (N).

    outputs: of the exported model, of which `logits` (N, K) are read.
    """
    logits = outputs["logits"]
    labels = logits.argmax(axis=1)
    return [
        LabelDifference(
            int(index),
            int(labels[index]),
            int(other[index]),
            float(logits[index, labels[index]] - logits[index, other[index]]),
        )
        for index in np.flatnonzero(labels != other)
    ]


def beyond(differences: Sequence[LabelDifference], tolerance: float) -> list[LabelDifference]:
    """Those whose logits are further apart than `tolerance`."""
    return [each for each in differences if not each.margin <= tolerance]  # NaN is beyond


def describe(
    differences: Sequence[LabelDifference], classes: Sequence[str], source: str
) -> list[str]:
    """A line for each of the first images; `source` is where the other label is from."""
    lines = [
        f"image {each.index}: {classes[each.label]} in the exported model, "
        f"{classes[each.other]} in {source}; their logits are {each.margin:.1e} apart"
        for each in differences[:NUM_LISTED]
    ]
    num_more = len(differences) - len(lines)
    return [*lines, f"and {num_more} more images"] if num_more else lines


def check_against_evaluation(
    outputs: dict[str, NDArray[Any]],
    predictions: Predictions,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    tolerance: float,
) -> list[LabelDifference]:
    """The images that evaluate gave another label, on whatever device it ran.

    outputs: of the exported model on the test images; labels: their true classes (N).
    Raises UserError if `predictions` is of other images, or if the logits of both labels differ
    by more than `tolerance`; it names the images.
    """
    if not np.array_equal(predictions.actual, labels):
        raise UserError(
            f"evaluate's predictions are of {len(predictions.actual):,} other images than the "
            f"{len(labels):,} test images; nothing was exported; evaluate again"
        )
    differences = differing_labels(outputs, predictions.predicted)
    wrong = beyond(differences, tolerance)
    if wrong:
        listed = "\n".join(f"  {line}" for line in describe(wrong, classes, "evaluate"))
        raise UserError(
            f"the exported model gives {len(wrong):,} of {len(labels):,} test images another label "
            f"than evaluate did, by more than export.max_logit_difference ({tolerance:.0e}):\n"
            f"{listed}\nNothing was exported; evaluate again"
        )
    return differences
