"""Whether a model is the one that the artifact's manifest and samples describe.

This opens what nobody vouches for, a graph and images, and so runs in a process with limits.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexnet.errors import UserError
from alexnet.escape import ClassName
from alexnet.files import Share, shorten
from alexnet.inference.graph_structure import GraphStructure, read_structure
from alexnet.inference.limited import print_result
from alexnet.inference.manifest import (
    LABELS,
    Manifest,
    Tensor,
    expected_outputs_path,
    read_manifest,
    read_strict,
)
from alexnet.inference.predictor import Predictor
from alexnet.inference.statement import Strict
from alexnet.inference.verification import MAX_DIFFERENCE

MAX_EXPECTED_BYTES = 1 << 26  # 100 samples of 10,000 classes
# Of the parameters as trained from the weights in the file: an export drops biases that are zero,
# and adds the mean and the scale of the images.
MAX_PARAMETER_DIFFERENCE = 0.1
MAX_BATCH = 16
ONNX_TYPES = {"uint8": "tensor(uint8)", "int64": "tensor(int64)", "float32": "tensor(float)"}


@dataclass(frozen=True)
class ExpectedRow(Strict):
    """The expected outputs for a sample."""

    file: str
    label: ClassName
    true_label: ClassName
    probabilities: dict[ClassName, Share]


def check_model(folder_name: str, precision: str) -> dict[str, Any]:
    """`errors`, and else `max_difference` of a probability, of the model in `precision`.

    Raises UserError for what cannot be read at all.
    """
    folder = Path(folder_name)
    manifest = read_manifest(folder)
    path = folder / manifest.precisions[precision].file  # type: ignore[index]
    structure = read_structure(path.read_bytes())
    try:
        predictor = Predictor(folder, precision, num_threads=1)
    except UserError as error:
        raise UserError(str(error).removeprefix(f"{path} ")) from None
    errors = _metadata_errors(folder, manifest, structure, predictor, precision)
    if errors:
        return {"errors": errors}
    rows = read_strict(
        folder / expected_outputs_path(precision), list[ExpectedRow], MAX_EXPECTED_BYTES
    )
    if sorted(row.file for row in rows) != sorted(manifest.samples):
        return {"errors": [f"{expected_outputs_path(precision)} is not of the images in samples/"]}
    differences, errors = [], []
    for row in rows:
        try:
            differences.append(_difference(folder, predictor, row))
        except UserError as error:
            errors.append(f"samples/{row.file}: {error}")
    if not errors and (reason := _batch_error(folder, predictor, rows[:MAX_BATCH], precision)):
        errors.append(reason)
    return {"errors": errors, "max_difference": max(differences, default=0)}


def _metadata_errors(
    folder: Path,
    manifest: Manifest,
    structure: GraphStructure,
    predictor: Predictor,
    precision: str,
) -> list[str]:
    """What the model file says of itself and the manifest, or labels.json, says otherwise."""
    inputs, outputs = predictor.session.get_inputs(), predictor.session.get_outputs()
    values = {
        "opset": (structure.opset, manifest.opset),
        "ir_version": (structure.ir_version, manifest.ir_version),
        "variant": (predictor.variant, manifest.variant),
        "precision": (predictor.precision, precision),
        "classes": (predictor.classes, read_strict(folder / LABELS, list[ClassName], 1 << 24)),
        "preprocessing": (predictor.preprocessing, manifest.preprocessing),
        "provenance": (predictor.provenance, manifest.provenance),
        "input": (
            {tensor.name: [tensor.type, tensor.shape] for tensor in inputs},
            {manifest.input.name: _tensor(manifest.input)},
        ),
        "outputs": (
            {tensor.name: [tensor.type, tensor.shape] for tensor in outputs},
            {name: _tensor(output) for name, output in manifest.outputs.items()},
        ),
    }
    errors = [
        f"{name}: the file has {shorten(str(actual), 120)}, the folder {shorten(str(given), 120)}"
        for name, (actual, given) in values.items()
        if actual != given
    ]
    share = structure.num_weights / manifest.parameters
    is_too_low = share < 1 - MAX_PARAMETER_DIFFERENCE and not manifest.fc1_collapsed
    if precision == "fp32" and (is_too_low or share > 1 + MAX_PARAMETER_DIFFERENCE):
        errors.append(
            f"parameters: the file has {structure.num_weights:,} weights, "
            f"the folder {manifest.parameters:,}"
        )
    return errors


def _tensor(tensor: Tensor) -> list[Any]:
    return [ONNX_TYPES[tensor.type], tensor.shape]


def _difference(folder: Path, predictor: Predictor, row: ExpectedRow) -> float:
    """The largest difference of a sample's probabilities from the expected ones.

    Raises UserError for one above the tolerance, another label, or outputs that contradict
    each other.
    """
    classes = predictor.classes
    if sorted(row.probabilities) != sorted(classes) or row.label not in classes:
        raise UserError("its expected outputs are not of the model's classes")
    names = [output.name for output in predictor.session.get_outputs()]
    image = predictor.prepare(folder / "samples" / row.file)
    outputs = dict(zip(names, predictor.session.run(names, {"images": image[None]}), strict=True))
    if not all(np.isfinite(values).all() for values in outputs.values()):
        raise UserError("the model gives values that are not finite")
    if {outputs["logits"].shape, outputs["probabilities"].shape} != {(1, len(classes))}:
        raise UserError("the model gives outputs of another shape")
    (logits,), (probabilities,) = outputs["logits"], outputs["probabilities"]
    allowed = MAX_DIFFERENCE[predictor.precision]
    exponentials = np.exp(logits - logits.max())
    if np.abs(exponentials / exponentials.sum() - probabilities).max() > allowed:
        raise UserError("the probabilities are not the softmax of the logits")
    reference = np.array([row.probabilities[name] for name in classes])
    difference = float(np.abs(probabilities - reference).max())
    # Of two classes with nearly equal probabilities, either may come first.
    margin = probabilities.max() - probabilities[classes.index(row.label)]
    if difference > allowed or margin > 2 * allowed:
        raise UserError(
            f"expected {row.label}, {predictor.precision} gives "
            f"{classes[int(probabilities.argmax())]}; largest difference of a probability "
            f"{difference:.1e} (tolerance {allowed:.0e})"
        )
    return difference


def _batch_error(
    folder: Path, predictor: Predictor, rows: list[ExpectedRow], precision: str
) -> str:
    """What is wrong if images in one run get other probabilities than each alone; else empty."""
    images = [predictor.prepare(folder / "samples" / row.file) for row in rows]
    expected = [[row.probabilities[name] for name in predictor.classes] for row in rows]
    difference = np.abs(predictor.run(np.stack(images)) - np.array(expected)).max()
    if difference <= MAX_DIFFERENCE[precision]:
        return ""
    return (
        f"several images in one run get other probabilities than each alone (by {difference:.1e})"
    )


if __name__ == "__main__":
    print_result(check_model)
