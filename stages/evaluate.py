"""evaluate: the trained network on the test split."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet import config
from stages import paths
from stages.command import run
from stages.params import load, record
from stages.paths import PARAMS, ParamsFile

if TYPE_CHECKING:
    from alexnet.evaluation.evaluate import Predictions
    from alexnet.network.parent import ParentNetwork
    from alexnet.network.weights import ModelMetadata

logger = logging.getLogger("stages.evaluate")


def evaluate(params: ParamsFile = PARAMS) -> None:
    """Measure the trained network on the test images; write metrics and predictions."""
    values = load(params)

    from alexnet.evaluation.evaluate import write_predictions
    from alexnet.evaluation.warm_start import read_warm_start, require_parent
    from alexnet.files import abbreviate, sha256, write_json
    from alexnet.network.parent import load_parent
    from alexnet.training.device import describe_device, resolve_device

    start = read_warm_start(paths.WARM_START)
    parent = load_parent(paths.PRETRAINED, paths.PRETRAINED_RECORD)
    metrics, predictions, metadata = measure(paths.WEIGHTS, values.evaluate)
    probed = ""
    if start:
        metrics["linear_probe_accuracy"] = _probe(require_parent(parent, start), values.evaluate)
        probed = f" (linear probe {metrics['linear_probe_accuracy']:.2%})"
        if metrics["accuracy"] < metrics["linear_probe_accuracy"]:
            logger.warning(
                "the accuracy is below that of a linear probe of the parent's features: other "
                "rates (train.pretrained_lr_scale), frozen layers or more epochs may help"
            )
    write_predictions(paths.PREDICTIONS, predictions, metadata.classes)
    record(paths.EVALUATE_PARAMS, values)
    write_json(paths.METRICS, metrics | {"weights_sha256": sha256(paths.WEIGHTS)})
    if missing := [name for name, row in metrics["per_class"].items() if row["recall"] is None]:
        logger.warning(
            f"no test image of {abbreviate(missing)}: recall is undefined, and left out of the "
            "balanced accuracy"
        )
    logger.info(
        f"accuracy {metrics['accuracy']:.2%}{probed} on {metrics['n']:,} test images, "
        f"loss {metrics['loss']:.4f}, calibration error {metrics['calibration_error']:.4f} "
        f"({describe_device(resolve_device(values.evaluate.device))})"
    )


def measure(
    weights: Path, values: config.Evaluate
) -> tuple[dict[str, Any], "Predictions", "ModelMetadata"]:
    """The metrics of a file of weights on the test images, the predictions, and whose they are.

    Raises UserError if the weights or the images are missing or damaged.
    """
    from alexnet.data.dataset import load_split
    from alexnet.evaluation.evaluate import accuracy_of_views, compute_metrics, logits_of, views_of
    from alexnet.network.inputs import centre_crop
    from alexnet.network.weights import load_weights
    from alexnet.training.device import configure_torch, resolve_device

    device = resolve_device(values.device)
    configure_torch()
    model, metadata = load_weights(weights)
    images, labels = load_split(paths.PROCESSED, "test")
    centre = centre_crop(images, metadata.image_size)
    logits = logits_of(model, metadata, centre, device, values.batch_size)
    metrics, predictions = compute_metrics(
        logits, labels, metadata.classes, values.calibration_bins
    )
    if values.views != "none":
        views = views_of(images, metadata.image_size, values.views)
        metrics[f"accuracy_{values.views.replace('-', '_')}"] = accuracy_of_views(
            [logits_of(model, metadata, view, device, values.batch_size) for view in views], labels
        )
    return metrics, predictions, metadata


def _probe(parent: "ParentNetwork", values: config.Evaluate) -> float:
    """The accuracy of a linear probe of the parent: what its features are worth as they are."""
    from alexnet.data.dataset import load_split
    from alexnet.evaluation.linear_probe import linear_probe_accuracy
    from alexnet.training.device import resolve_device

    train, test = (load_split(paths.PROCESSED, split) for split in ("train", "test"))
    device = resolve_device(values.device)
    return linear_probe_accuracy(parent, train, test, device, values.batch_size)


if __name__ == "__main__":
    run(evaluate)
