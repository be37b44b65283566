"""The exported artifact: the model, its documentation, and what its receiver verifies it by."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, PackageLoader, StrictUndefined

from alexnet import config
from alexnet.data.images import ResizeMethod
from alexnet.data.imbalance import imbalance_of
from alexnet.escape import for_markdown
from alexnet.evaluation.evaluate import Predictions, logits_of
from alexnet.evaluation.warm_start import FROZEN
from alexnet.export import graph, runtimes
from alexnet.export.agreement import check_against_evaluation, describe
from alexnet.export.attestation import write_statement
from alexnet.export.dataset_cards import DATASET_CARDS
from alexnet.export.quantisation import AccuracyReference, write_fp16, write_int8
from alexnet.export.samples import choose_samples, evenly_spaced, write_samples
from alexnet.files import atomic_directory, sha256, write_json, write_text
from alexnet.inference.manifest import CHECKSUMS, MANIFEST, SCHEMA, WRITTEN, Tensor, checksums
from alexnet.inference.predictor import MODEL_FILENAMES
from alexnet.inference.triton_config import config_path, triton_config
from alexnet.inference.verification import verify
from alexnet.network.collapse import can_collapse
from alexnet.network.inputs import centre_crop
from alexnet.network.model import AlexNet
from alexnet.network.summary import num_parameters
from alexnet.network.weights import ModelMetadata

BATCH_SIZE = 256

logger = logging.getLogger(__name__)


def export_bundle(
    folder: Path,
    model: AlexNet,
    metadata: ModelMetadata,
    images: torch.Tensor,
    labels: torch.Tensor,
    *,
    resize: ResizeMethod,
    calibration_images: torch.Tensor,
    metrics: dict[str, Any],
    predictions: Predictions,
    data: dict[str, Any],
    provenance: dict[str, Any],
    params: config.Export,
    warm_start: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Export the model, check it against PyTorch on all test images, and write the folder.

    images: test images, uint8 (N, H, W, C) as stored; the network takes their centre.
    labels: int64 (N). resize: data.resize, by which they were stored. calibration_images:
    training images as stored, of which `params.num_calibration_images` calibrate int8.
    metrics, predictions: of the evaluate stage, which may have run on another device. data:
    name, kind, counts and duplicates of the data set. warm_start: what train has recorded of the
    weights that it started from, if any.

    Returns the results of the checks. A precision that costs more accuracy than `params`
    allows has a `rejected_reason` and is not in the folder. Raises UserError if the exported
    model does not agree with PyTorch or with `predictions`; `folder` then stays as it was.
    """
    size = metadata.image_size
    collapse_fc1 = params.collapse_fc1 == "auto" and can_collapse(model, size)
    cropped = centre_crop(images, size)
    logits = logits_of(model, metadata, cropped, torch.device("cpu"), BATCH_SIZE).numpy()
    reference = AccuracyReference(cropped.numpy(), labels.numpy(), logits)
    preprocessing = graph.preprocessing_of(metadata, images.shape[1], resize)

    with atomic_directory(folder, WRITTEN.fullmatch) as new:
        full = new / MODEL_FILENAMES["fp32"]
        properties = graph.properties_of(metadata, preprocessing, provenance)
        graph.write_onnx(
            full, model, metadata, properties, opset=params.opset, collapse_fc1=collapse_fc1
        )
        tolerance = params.max_logit_difference
        verification, outputs = graph.verify_against_pytorch(
            full, reference.images, logits, tolerance
        )
        differences = check_against_evaluation(
            outputs, predictions, reference.labels, metadata.classes, tolerance
        )
        for line in describe(differences, metadata.classes, "evaluate"):
            logger.warning("%s: within export.max_logit_difference (%.0e)", line, tolerance)
        verification["num_labels_differing_from_evaluate"] = len(differences)
        results = {"fp32": reference.measure(full, outputs)}
        chosen = evenly_spaced(len(calibration_images), params.num_calibration_images)
        calibration = centre_crop(calibration_images[chosen], size).numpy()
        for precision, write in (
            ("fp16", write_fp16),
            ("int8", partial(write_int8, images=calibration)),
        ):
            if precision in params.precisions:
                path = new / MODEL_FILENAMES[precision]
                write(path, full)
                results[precision] = reference.check_precision(path, params)
        accepted = {name: row for name, row in results.items() if "rejected_reason" not in row}

        write_json(new / "labels.json", list(metadata.classes))
        samples = choose_samples(
            outputs["logits"].argmax(axis=1) == reference.labels, params.num_samples
        )
        write_samples(new, list(accepted), images.numpy()[samples], reference.labels[samples])
        manifest = {
            "schema": SCHEMA,
            "variant": metadata.variant,
            "parameters": num_parameters(model),
            "fc1_collapsed": collapse_fc1,
            "opset": params.opset,
            "ir_version": graph.min_ir_version(params.opset),
            "precisions": accepted,
            "preprocessing": preprocessing,
            **_interface(metadata),
            "num_samples": len(samples),
            "data": data,
            # The accuracy is that of the file; evaluate may have run on another device.
            "metrics": {"split": "test"} | metrics | {"accuracy": results["fp32"]["accuracy"]},
            "verification": verification,
            "provenance": provenance,
        }
        if warm_start is not None:
            manifest["warm_start"] = warm_start
        write_text(new / "MODEL_CARD.md", model_card(metadata, manifest))
        write_triton_configs(new, manifest)
        write_statement(new, provenance)
        write_manifest(new, manifest)
        verify(new)  # as its receiver will
    return verification | {"fc1_collapsed": collapse_fc1, "precisions": results}


def _interface(metadata: ModelMetadata) -> dict[str, Any]:
    """Input and outputs of the model, the same in every precision."""
    scores = {"type": "float32", "shape": ["batch", len(metadata.classes)]}
    return {
        "input": {
            "name": "images",
            "type": "uint8",
            "shape": ["batch", metadata.image_size, metadata.image_size, metadata.channels],
            "layout": "NHWC, as decoded from a file, 0 to 255",
        },
        "outputs": {"logits": scores, "probabilities": scores},
    }


def write_manifest(folder: Path, metadata: dict[str, Any]) -> None:
    """Write manifest.json, `metadata` with the digest of every file, and SHA256SUMS."""
    files = {
        file.relative_to(folder).as_posix(): {
            "bytes": file.stat().st_size,
            "sha256": sha256(file),
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    write_json(folder / MANIFEST, metadata | {"files": files})
    digests = {name: str(entry["sha256"]) for name, entry in files.items()}
    write_text(folder / CHECKSUMS, checksums(digests | {MANIFEST: sha256(folder / MANIFEST)}))


def write_triton_configs(folder: Path, manifest: dict[str, Any]) -> None:
    """Write config.pbtxt, config.fp16.pbtxt, ...: each precision for NVIDIA's Triton server."""
    given = manifest["input"]
    inputs = {given["name"]: Tensor(given["type"], given["shape"])}
    outputs = {name: Tensor(**output) for name, output in manifest["outputs"].items()}
    for precision in manifest["precisions"]:
        text = triton_config(precision, inputs, outputs)
        write_text(folder / config_path(precision), text)


def model_card(metadata: ModelMetadata, manifest: dict[str, Any]) -> str:
    """The text of MODEL_CARD.md."""
    preprocessing, start = manifest["preprocessing"], manifest.get("warm_start")
    return render(
        "MODEL_CARD.md.j2",
        metadata=metadata,
        imbalance=imbalance_of(manifest["data"]["counts"]),
        dataset_card=DATASET_CARDS[manifest["data"]["kind"]],
        start=(preprocessing["resize"] - preprocessing["crop"]) // 2,
        runtimes=runtimes.as_markdown(runtimes.measured()),
        frozen=FROZEN[start["freeze"]] if start else None,
        **manifest,
    )


def render(template: str, **values: Any) -> str:
    """A template of alexnet/export/templates, filled in; a missing value is an error.

    Texts are escaped for Markdown, but for those that the template marks as safe.
    """
    environment = Environment(
        loader=PackageLoader("alexnet.export", "templates"),
        undefined=StrictUndefined,
        finalize=lambda value: for_markdown(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)
