"""Exported artifacts for tests."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from alexnet import config
from alexnet.evaluation.evaluate import Predictions, logits_of
from alexnet.export.bundle import export_bundle
from alexnet.network.inputs import centre_crop
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata, build
from tests.conftest import CLASSES, ROOT, real_digits
from tests.runs import CPU, narrow

METADATA = ModelMetadata("cifar", CLASSES, 32, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
METRICS = {
    "balanced_accuracy": 0.75,
    "loss": 1.0,
    "calibration_error": 0.1,
    "top5_accuracy": 0.9,
    "per_class": {name: {"precision": 0.25, "recall": 0.75, "support": 30} for name in CLASSES},
}
DATA = {
    "name": "digits",
    "kind": "digits",
    "counts": {"train": {"zero": 900, "one": 40}, "test": {"zero": 300, "one": 9}},
    "duplicates": {"train-test": 2},
}
PROVENANCE = {
    "revision": "0" * 40,
    "dirty": False,
    "sha256": {"weights": "f" * 64},
    "versions": {"onnxruntime": onnxruntime.__version__},
}
# Nothing is rejected, and int8 is calibrated quickly.
LAX = {"max_accuracy_drop": 1.0, "max_label_change": 1.0, "num_calibration_images": 32}


def confident_model(metadata: ModelMetadata) -> AlexNet:
    """A network whose logits are as far apart as a trained one's."""
    torch.manual_seed(0)
    model = build(metadata, dropout=0.5).eval()
    with torch.no_grad():
        model.fc3.weight.normal_(std=0.1)
    return model


def predictions_of(actual: Tensor, predicted: Tensor) -> Predictions:
    """Predictions as evaluate writes them, all of one confidence."""
    return Predictions(actual.numpy(), predicted.numpy(), np.full(len(actual), 0.9))


def export_model(
    folder: Path,
    model: AlexNet,
    metadata: ModelMetadata,
    images: Tensor,
    given: dict[str, Any] | None = None,
    **export: Any,
) -> dict[str, Any]:
    """export_bundle with labels of which the model gets half right.

    given: replaces its other arguments. export: changes of that section of params.yaml.
    """
    cropped = centre_crop(images, metadata.image_size)
    predicted = logits_of(model, metadata, cropped, CPU, 256).argmax(1)
    labels = predicted.clone()
    labels[::2] = (labels[::2] + 1) % len(metadata.classes)
    accuracy = len(labels[1::2]) / len(labels)
    params = config.load(ROOT / "params.yaml").export
    arguments = {
        "resize": "bicubic",
        "calibration_images": images,
        "metrics": METRICS | {"n": len(labels), "accuracy": accuracy},
        "predictions": predictions_of(labels, predicted),
        "data": DATA,
        "provenance": PROVENANCE,
        "params": params.model_copy(update=export),
    }
    arguments |= {"labels": labels} | (given or {})
    return export_bundle(folder, model, metadata, images, **arguments)


def export_small(
    folder: Path, stored_size: int = 32, resize: str = "bicubic", **export: Any
) -> Path:
    """An artifact with a narrow model: small enough to be damaged a hundred times."""
    torch.manual_seed(0)
    model = narrow().eval()
    with torch.no_grad():
        model.fc3.weight.normal_(std=0.05)
        for name, values in model.named_parameters():
            if name.endswith("bias"):  # a bias of zeros would not be exported
                values.uniform_(-0.1, 0.1)
    images = real_digits()[0][:40]
    if stored_size != 32:
        images = images.repeat_interleave(2, 1).repeat_interleave(2, 2)
        images = images[:, :stored_size, :stored_size].contiguous()
    given = {"resize": resize} | export.pop("given", {})
    export_model(folder, model, METADATA, images, given, **{"num_samples": 4} | export)
    return folder


def with_metadata(artifact: Path, path: Path, **changes: str) -> Path:
    """The model of an artifact with other metadata, as its sender may have written it."""
    import onnx

    model = onnx.load(artifact / "model.onnx")
    properties = {entry.key: entry.value for entry in model.metadata_props} | changes
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)
    return path
