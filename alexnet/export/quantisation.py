"""Lower precisions of the exported network: float16 halves the file, int8 quarters it.

The loss of accuracy is measured on the whole test split. A precision that loses more than
params.yaml allows is not exported.

float16 is that of the weights alone: the graph casts them to float32, which a runtime does once,
when it loads the file. Arithmetic in float16 would be slower on a processor without instructions
for it (5 times for one image, in onnxruntime 1.16), differ from runtime to runtime, and be refused
by some.

int8 is static quantisation: QDQ nodes, one scale for each output channel of a weight, and
ranges of activations calibrated on training images. Weights use 7 of their 8 bits:
processors without VNNI add two products in 16 bits, which then cannot overflow
(2 x 255 x 64 < 2^15), so the sums are the same on every processor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto
from onnx.helper import make_node
from onnx.numpy_helper import from_array, to_array
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from alexnet import config
from alexnet.export.graph import check_graph, run_onnx, save_model

BATCH_SIZE = 256
# Everything after the normalisation, except for the last layer (see `write_int8`).
QUANTIZED = ["Conv", "Relu", "MaxPool", "Reshape", "Gemm"]


class _Batches(CalibrationDataReader):
    """Batches of calibration images, in the quantizer's protocol."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.batches: Iterator[NDArray[np.uint8]] = (
            images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch}


def write_fp16(path: Path, full: Path) -> None:
    """Store the weights of the float32 model `full` in float16."""
    model = onnx.load(full)
    graph, casts = model.graph, []
    for weight in graph.initializer:
        # Constants are no weights: scalars, and those of the normalisation.
        is_weight = len(weight.dims) > 0 and not weight.name.startswith("normalise.")
        if is_weight and weight.data_type == TensorProto.FLOAT:
            name, values = weight.name, to_array(weight)
            with np.errstate(over="ignore"):  # `check_graph` names what is infinite
                weight.CopyFrom(from_array(values.astype(np.float16), f"{name}.float16"))
            casts.append(make_node("Cast", [weight.name], [name], name, to=TensorProto.FLOAT))
    _set_nodes(graph, [*casts, *graph.node])
    save_model(model, path, _properties(model) | {"precision": "fp16"})


def write_int8(path: Path, full: Path, images: NDArray[np.uint8]) -> None:
    """Quantize the float32 model `full`, calibrated on images uint8 (N, H, W, C).

    The last layer stays in float32: it is small, and with logits in 256 steps two classes
    would often share the highest.
    """
    model = onnx.load(full)
    properties = _properties(model)
    last = [node.name for node in model.graph.node if "logits" in node.output]
    _split_biases(model.graph)
    # Without this it warns that the graph is not optimized, which onnxruntime does on loading.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    quantize_static(
        model,
        path,
        _Batches(images),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=QUANTIZED,
        nodes_to_exclude=last,
        per_channel=True,
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},
    )
    save_model(onnx.load(path), path, properties | {"precision": "int8"})


def _split_biases(graph: onnx.GraphProto) -> None:
    """Add the biases of fully connected layers in nodes of their own, which stay in float32.

    OpenCV 4.11 to 4.14 compute with a quantized bias of a Gemm wrongly, without an error.
    """
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "Gemm" and len(node.input) > 2 and "logits" not in node.output:
            name, bias, (result,) = node.name, node.input.pop(), node.output
            node.name = node.output[0] = f"{name}/Gemm"
            nodes.append(make_node("Add", [node.name, bias], [result], name))
    _set_nodes(graph, nodes)


def _set_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    del graph.node[:]
    graph.node.extend(nodes)


def _properties(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


@dataclass(frozen=True)
class AccuracyReference:
    """The whole test split with the logits of the float32 network in PyTorch."""

    images: NDArray[np.uint8]  # (N, H, W, C)
    labels: NDArray[np.int64]  # (N)
    logits: NDArray[np.float32]  # (N, K)

    def measure(self, path: Path, outputs: dict[str, NDArray[Any]] | None = None) -> dict[str, Any]:
        """Size and accuracy of an exported model, and its difference from the float32 network.

        outputs: of the model on `images`, where they are known. label_change_rate is the share
        of images whose label differs from that of float32.
        """
        if outputs is None:
            check_graph(path)
            outputs = run_onnx(path, self.images, BATCH_SIZE)
        label, expected = outputs["logits"].argmax(axis=1), self.logits.argmax(axis=1)
        num_correct = int((label == self.labels).sum())
        num_images = len(self.images)
        return {
            "file": path.name,
            "bytes": path.stat().st_size,
            "accuracy": num_correct / num_images,
            "accuracy_drop": (int((expected == self.labels).sum()) - num_correct) / num_images,
            "label_change_rate": float((label != expected).mean()),
            "max_logit_difference": float(np.abs(outputs["logits"] - self.logits).max()),
        }

    def check_precision(self, path: Path, params: config.Export) -> dict[str, Any]:
        """As `measure`; a model that exceeds a limit is removed and gets a `rejected_reason`."""
        figures = self.measure(path)
        reasons = []
        if figures["accuracy_drop"] > params.max_accuracy_drop:
            reasons.append(
                f"its accuracy is {100 * figures['accuracy_drop']:.2f} points lower "
                f"(export.max_accuracy_drop allows {100 * params.max_accuracy_drop:.2f})"
            )
        if figures["label_change_rate"] > params.max_label_change:
            reasons.append(
                f"{figures['label_change_rate']:.2%} of its labels differ from those of fp32 "
                f"(export.max_label_change allows {params.max_label_change:.2%})"
            )
        if not np.isfinite(figures["max_logit_difference"]):
            figures["max_logit_difference"] = None
            reasons.append("its logits are not finite")
        if reasons:
            path.unlink()
            figures["rejected_reason"] = " and ".join(reasons)
        return figures
