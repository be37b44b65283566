"""evaluate: the trained network on the test split."""

from alexnet import config
from stages import paths
from stages.command import PARAMS, ParamsFile, run


def evaluate(params: ParamsFile = PARAMS) -> None:
    """Measure the trained network on the test images; write figures and predictions."""
    values = config.load(params).evaluate

    from alexnet.checkpoint import load_weights
    from alexnet.data.dataset import load_split
    from alexnet.device import choose_device, describe_device
    from alexnet.evaluate import judge, logits_of, write_predictions
    from alexnet.files import sha256, write_json

    device = choose_device(values.device)
    model, card = load_weights(paths.WEIGHTS)
    images, labels = load_split(paths.PROCESSED, "test")
    logits = logits_of(model, card, images, device, values.batch_size)
    figures, predictions = judge(logits, labels, card.classes, values.calibration_bins)

    write_predictions(paths.PREDICTIONS, predictions, card.classes)
    write_json(paths.METRICS, figures | {"weights_sha256": sha256(paths.WEIGHTS)})
    print(
        f"accuracy {figures['accuracy']:.2%} on {figures['n']:,} test images, "
        f"loss {figures['loss']:.4f}, calibration error {figures['calibration_error']:.4f} "
        f"({describe_device(device)})"
    )


if __name__ == "__main__":
    run(evaluate)
