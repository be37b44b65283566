"""The exported network in fewer bits: half of the bytes in float16, a quarter in int8.

What it costs is measured on the whole test split and held to what params.yaml allows;
what costs more is not handed over.

int8 is static: QDQ nodes, one scale for each output channel of a weight, activations
in ranges that a fixed number of training images reach. Weights take 7 of their 8 bits:
processors without VNNI add two products of 8 bits in 16, which then cannot overflow
(2 x 255 x 64 < 2^15), so that the sums are the same on every processor.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from alexnet import config
from alexnet.export.graph import check, run_onnx, save

BATCH_SIZE = 256
# All behind the normalisation, but for the layer of the logits (`write_int8`).
QUANTIZED = ["Conv", "Relu", "MaxPool", "Reshape", "Gemm"]


class _Batches(CalibrationDataReader):
    """Images as the quantizer asks for them."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        self.batches: Iterator[NDArray[np.uint8]] = (
            images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch}


def write_int8(path: Path, full: Path, images: NDArray[np.uint8]) -> None:
    """Quantize the float32 model `full`, calibrated on images uint8 (N, H, W, C).

    The last layer stays in float32: it is small, and its logits would come in 256 steps,
    of which two classes often share the highest.
    """
    model = onnx.load(full)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    last = [node.name for node in model.graph.node if "logits" in node.output]
    # Else it advises to have the graph optimized first, which onnxruntime does on loading.
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
    )
    save(onnx.load(path), path, properties | {"precision": "int8"})


@dataclass(frozen=True)
class AccuracyReference:
    """The whole test split, and what the network in float32 makes of it."""

    images: NDArray[np.uint8]  # (N, H, W, C)
    labels: NDArray[np.int64]  # (N)
    logits: NDArray[np.float32]  # (N, K)

    def measure(self, path: Path) -> dict[str, Any]:
        """How good an exported model is, and how much it differs from the network in float32."""
        check(path)
        outputs = run_onnx(path, self.images, BATCH_SIZE)
        label, wanted = outputs["label"], self.logits.argmax(axis=1)
        num_right = int((label == self.labels).sum())
        num_images = len(self.images)
        return {
            "file": path.name,
            "bytes": path.stat().st_size,
            "accuracy": num_right / num_images,
            "accuracy_drop": (int((wanted == self.labels).sum()) - num_right) / num_images,
            "changed": float((label != wanted).mean()),
            "max_logit_difference": float(np.abs(outputs["logits"] - self.logits).max()),
        }

    def check_precision(self, path: Path, params: config.Export) -> dict[str, Any]:
        """The same; a model that differs too much is removed, and `refused` says why."""
        figures = self.measure(path)
        reasons = []
        if figures["accuracy_drop"] > params.max_accuracy_drop:
            reasons.append(
                f"its accuracy is {100 * figures['accuracy_drop']:.2f} points lower "
                f"(export.max_accuracy_drop allows {100 * params.max_accuracy_drop:.2f})"
            )
        if figures["changed"] > params.max_changed:
            reasons.append(
                f"{figures['changed']:.2%} of its labels are others "
                f"(export.max_changed allows {params.max_changed:.2%})"
            )
        if not np.isfinite(figures["max_logit_difference"]):
            figures["max_logit_difference"] = None
            reasons.append("its logits are not finite")
        if reasons:
            path.unlink()
            figures["refused"] = " and ".join(reasons)
        return figures
