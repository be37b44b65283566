"""The ONNX graph: one file that runs without this project.

The graph takes images as decoded from a file and has named outputs, so that its receiver
neither normalises nor applies a softmax:

    images         uint8 (batch, height, width, channels)
    logits         float32 (batch, num_classes)
    probabilities  float32 (batch, num_classes)

It has no output for the label, which is that of the highest probability: some runtimes compute
ArgMax wrongly.
"""

import copy
import json
import logging
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alexnet import __version__
from alexnet.data.images import ResizeMethod
from alexnet.errors import UserError
from alexnet.export.agreement import beyond, differing_labels
from alexnet.export.layer_names import name_by_layer
from alexnet.inference.predictor import STATED, Preprocessing
from alexnet.inference.session import open_session
from alexnet.network.collapse import collapse_for_inference
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata
from alexnet.progress import progress

BATCH_SIZES = (1, 2, 7, 256)


class Normalise(nn.Module):
    """From pixels as decoded from a file to the network's input."""

    shift: Tensor
    scale: Tensor

    def __init__(self, metadata: ModelMetadata) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(metadata.mean) * 255)
        self.register_buffer("scale", torch.tensor(metadata.std) * 255)

    def forward(self, images: Tensor) -> Tensor:
        x = (images.float() - self.shift) / self.scale  # (N, H, W, C)
        return x.permute(0, 3, 1, 2)  #                   (N, C, H, W)


class DeploymentModel(nn.Module):
    """The network with normalisation before it and softmax after it."""

    def __init__(self, model: AlexNet, metadata: ModelMetadata) -> None:
        super().__init__()
        self.normalise = Normalise(metadata)
        self.model = model
        self.softmax = nn.Softmax(dim=1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model(self.normalise(images))
        return logits, self.softmax(logits)  # (N, num_classes) each


def write_onnx(
    path: Path,
    model: AlexNet,
    metadata: ModelMetadata,
    properties: dict[str, str],
    *,
    opset: int,
    collapse_fc1: bool,
) -> None:
    """Export `model`, in eval mode, as one file with `properties` as its metadata.

    collapse_fc1: replace fc1 as `collapse_for_inference` does. The model itself stays as it is.
    """
    model = copy.deepcopy(model).cpu().eval()
    if collapse_fc1:
        model = collapse_for_inference(model)
    side = metadata.image_size
    example = torch.zeros(2, side, side, metadata.channels, dtype=torch.uint8)
    with warnings.catch_warnings():
        # The exporter warns of its own internals; `verify_against_pytorch` checks the result.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            DeploymentModel(model, metadata),
            (example,),
            dynamo=True,
            opset_version=opset,
            input_names=["images"],
            output_names=["logits", "probabilities"],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
            verbose=False,
        )
    assert program is not None
    name_by_layer(program.model, "model")
    save_model(program.model_proto, path, properties)


def save_model(exported: onnx.ModelProto, path: Path, properties: dict[str, str]) -> None:
    """Write a model with `properties`, in the oldest format, without what a tool left in it."""
    graph = exported.graph
    made = {name for node in graph.node for name in node.output}
    domains = {node.domain for node in graph.node}
    _keep(graph.value_info, lambda value: value.name in made)
    _keep(exported.opset_import, lambda opset: opset.domain in domains)
    (opset,) = exported.opset_import
    exported.ir_version = min_ir_version(opset.version)
    for node in graph.node:
        # It matters only for a shape with a zero, and not every runtime knows it.
        _keep(node.attribute, lambda attribute: attribute.name != "allowzero")
    _strip_metadata(exported)
    onnx.helper.set_model_props(exported, properties)
    onnx.save(exported, path)


def min_ir_version(opset: int) -> int:
    """The first version of ONNX's file format that knows the opset."""
    return int(onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)]))


def preprocessing_of(
    metadata: ModelMetadata, stored_size: int, method: ResizeMethod
) -> dict[str, Any]:
    """How a receiver has to prepare an image: as preprocessing and training did. In pixels."""
    channels: Literal[1, 3] = 1 if metadata.channels == 1 else 3
    region, kernel = STATED[method]
    size = metadata.image_size
    return asdict(Preprocessing(stored_size, size, channels, region=region, filter=kernel))


def properties_of(
    metadata: ModelMetadata,
    preprocessing: dict[str, Any],
    provenance: dict[str, Any],
) -> dict[str, str]:
    """The metadata of the file, for programs that read nothing else.

    Keys that begin with `Image.` are the ONNX specification's (docs/MetadataProps.md). The
    values of the others are JSON, except for variant and precision.
    """
    return {
        "variant": metadata.variant,
        "precision": "fp32",
        "classes": json.dumps(metadata.classes, ensure_ascii=False),
        "preprocessing": json.dumps(preprocessing),
        # The graph normalises; these two are for people.
        "mean": json.dumps(metadata.mean),
        "std": json.dumps(metadata.std),
        "provenance": json.dumps(provenance),
        "Image.BitmapPixelFormat": "Gray8" if metadata.channels == 1 else "Rgb8",
        "Image.ColorSpaceGamma": "SRGB",
        "Image.NominalPixelRange": "NominalRange_0_255",
    }


def _keep(parts: Any, wanted: Callable[[Any], bool]) -> None:
    """Remove the other parts of a repeated field."""
    kept = [part for part in parts if wanted(part)]
    del parts[:]
    parts.extend(kept)


def _strip_metadata(exported: onnx.ModelProto) -> None:
    """Remove the exporter's metadata, which holds source lines and paths of this machine."""
    exported.producer_name = "alexnet"
    exported.producer_version = __version__
    del exported.metadata_props[:]
    del exported.graph.metadata_props[:]
    exported.doc_string = exported.graph.doc_string = ""
    graph = exported.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def run_onnx(path: Path, images: NDArray[np.uint8], batch_size: int) -> dict[str, NDArray[Any]]:
    """All outputs (N, ...) by name for images uint8 (N, H, W, C), by onnxruntime on the CPU."""
    session = open_session(path)
    names = [output.name for output in session.get_outputs()]
    results = []
    with progress("run onnx", len(images)) as advance:
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            results.append(session.run(names, {"images": batch}))
            advance(len(batch))
    columns = zip(*results, strict=True)
    return {name: np.concatenate(column) for name, column in zip(names, columns, strict=True)}


def verify_against_pytorch(
    path: Path, images: NDArray[np.uint8], expected: NDArray[np.float32], max_difference: float
) -> tuple[dict[str, float], dict[str, NDArray[Any]]]:
    """Check the file against PyTorch's logits (N, K) on all `images`, at each of BATCH_SIZES.

    Returns the results, and the model's outputs (N, ...) at the last of the batch sizes.
    Raises UserError if a weight is not finite (see `check_graph`), a logit differs by more than
    `max_difference`, or a label differs though its logits are further apart than that.
    """
    check_graph(path)
    largest, num_differing = 0.0, 0
    for batch_size in BATCH_SIZES:
        outputs = run_onnx(path, images, batch_size)
        differences = differing_labels(outputs, expected.argmax(axis=1))
        wrong = len(beyond(differences, max_difference))
        # not (a <= b): NaN must not pass.
        difference = float(np.abs(outputs["logits"] - expected).max())
        if wrong or not difference <= max_difference:
            raise UserError(
                f"the exported model differs from PyTorch's at batch size {batch_size}: "
                f"{wrong} of {len(images)} labels, largest logit difference {difference:.2e} "
                f"(export.max_logit_difference is {max_difference:.0e}); nothing was exported"
            )
        largest = max(largest, difference)
        num_differing = max(num_differing, len(differences))
    results = {
        "num_images": len(images),
        "num_labels_differing": num_differing,
        "max_logit_difference": largest,
    }
    return results, outputs


def check_graph(path: Path) -> None:
    """Raises UserError that names the weights with a value that is not finite.

    Comparing outputs would not find all of them: a ReLU or a max pool can hide one. An
    invalid graph raises onnx's own error, for that would be our defect.
    """
    onnx.checker.check_model(path, full_check=True)
    broken = [
        tensor.name
        for tensor in onnx.load(path).graph.initializer
        if not np.isfinite(onnx.numpy_helper.to_array(tensor)).all()
    ]
    if broken:
        raise UserError(
            f"the exported model's {', '.join(broken)} holds values that are not finite; "
            "nothing was exported; train again"
        )
