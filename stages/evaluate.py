"""evaluate: the trained network on the test split."""

import logging

from alexnet.cli.app import run
from stages import paths
from stages.params import load, record
from stages.paths import PARAMS, ParamsFile

logger = logging.getLogger("stages.evaluate")


def evaluate(params: ParamsFile = PARAMS) -> None:
    """Measure the trained network on the test images; write metrics and predictions."""
    parameters = load(params)
    values = parameters.evaluate

    from alexnet.data.dataset import load_split
    from alexnet.evaluation.evaluate import (
        accuracy_of_views,
        compute_metrics,
        logits_of,
        views_of,
        write_predictions,
    )
    from alexnet.files import sha256, write_json
    from alexnet.network.inputs import centre_crop
    from alexnet.network.weights import load_weights
    from alexnet.training.device import configure_torch, describe_device, resolve_device

    device = resolve_device(values.device)
    configure_torch()
    model, metadata = load_weights(paths.WEIGHTS)
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

    write_predictions(paths.PREDICTIONS, predictions, metadata.classes)
    record(paths.EVALUATE_PARAMS, parameters)
    write_json(paths.METRICS, metrics | {"weights_sha256": sha256(paths.WEIGHTS)})
    logger.info(
        f"accuracy {metrics['accuracy']:.2%} on {metrics['n']:,} test images, "
        f"loss {metrics['loss']:.4f}, calibration error {metrics['calibration_error']:.4f} "
        f"({describe_device(device)})"
    )


if __name__ == "__main__":
    run(evaluate)
