"""Whether batch size and thresholds fit the data set, as soon as its images are counted.

preprocess and train both ask: the one before anything long runs, the other since these values may
have changed after it.
"""

import logging
import math
from collections.abc import Mapping

from alexnet import config
from alexnet.errors import UserError
from stages import paths

# With fewer steps an epoch, tens of epochs are too few for a schedule and an average. (The preset
# imagenet has five with 200 photographs.)
MIN_STEPS = 5
# From here on a model and one that is five points worse can hardly be told apart.
MAX_STANDARD_ERROR = 0.05

Counts = Mapping[str, Mapping[str, int]]  # images of each class, for each split, as in meta.json

logger = logging.getLogger("stages.data_checks")


def check_processed(values: config.Params, log: bool) -> None:
    """`check_against_data`, of the data set that preprocess has written."""
    from alexnet.data.dataset import load_meta

    check_against_data(values, load_meta(paths.PROCESSED).counts, log)


def check_against_data(values: config.Params, counts: Counts, log: bool = True) -> None:
    """Raises UserError if a batch needs more images than there are; warns of what fits badly.

    log: False in the further processes of a distributed training, so that each warning comes once.
    """
    warnings = _batch_size(values.train.batch_size, sum(counts["train"].values()))
    warnings += _thresholds(values.gate, counts["test"])
    for warning in warnings if log else []:
        logger.warning(warning)


def _batch_size(batch_size: int, num_images: int) -> list[str]:
    fitting = max(2, (num_images - 1) // (MIN_STEPS - 1))  # 1: batch normalisation needs two
    most = math.ceil(num_images / fitting)
    advice = f"up to {fitting:,} gives {MIN_STEPS} steps or more"
    if most < MIN_STEPS:
        advice = f"{fitting} gives {most}: add images"
    if batch_size > num_images:
        raise UserError(
            f"train.batch_size: {batch_size:,} is more than the {num_images:,} training images, so "
            f"that an epoch would be one short step; {advice}"
        )
    num_steps = math.ceil(num_images / batch_size)
    if batch_size <= fitting:
        return []
    steps = "a single step" if num_steps == 1 else f"{num_steps} steps"
    return [
        f"train.batch_size: with {batch_size:,} an epoch of the {num_images:,} training images is "
        f"{steps}; {advice}"
    ]


def _thresholds(gate: config.Gate, counts: Mapping[str, int]) -> list[str]:
    """Warnings of thresholds that the test images cannot tell, or that say nothing."""
    warnings = []
    num_images = sum(counts.values())
    if gate.min_accuracy:
        warnings += _uncertainty("min_accuracy", gate.min_accuracy, num_images, "test images")
        largest = max(counts, key=counts.__getitem__)
        if gate.min_accuracy <= (share := counts[largest] / num_images):
            warnings.append(
                f"gate.min_accuracy: {gate.min_accuracy:g} is met by always predicting {largest}, "
                f"the class of {share:.1%} of the test images"
            )
    if gate.min_class_recall:
        smallest = min(counts, key=counts.__getitem__)
        images = f"test images of {smallest}"
        recall = gate.min_class_recall
        warnings += _uncertainty("min_class_recall", recall, counts[smallest], images)
    return warnings


def _uncertainty(key: str, threshold: float, num_images: int, images: str) -> list[str]:
    """Of a share of images that is near the threshold: sqrt(p (1 - p) / n)."""
    if 1 - 1 / num_images < threshold < 1:
        return [
            f"gate.{key}: {threshold:g} allows no mistake in the {num_images:,} {images}: one is "
            f"{1 / num_images:.3f}"
        ]
    error = math.sqrt(threshold * (1 - threshold) / num_images)
    if error <= MAX_STANDARD_ERROR:
        return []
    return [
        f"gate.{key}: with {num_images:,} {images} the standard error at {threshold:g} is "
        f"{error:.3f}, so that the gate may pass or fail by chance"
    ]
