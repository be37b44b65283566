"""The folder that is handed over: the model, what it is, and proof that it is whole."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from alexnet import config
from alexnet.errors import UserError
from alexnet.evaluation.evaluate import logits_of
from alexnet.export import graph as export
from alexnet.export.dataset_cards import DATASET_CARDS
from alexnet.export.quantisation import AccuracyReference, write_int8
from alexnet.files import atomic_directory, sha256, write_json, write_text
from alexnet.inference.predictor import MODEL_FILENAMES
from alexnet.inference.verification import (
    CHECKSUMS,
    MANIFEST,
    SCHEMA,
    checksums,
    expected_outputs_path,
    verify,
)
from alexnet.network.collapse import can_collapse
from alexnet.network.inputs import centre_crop
from alexnet.network.model import AlexNet
from alexnet.network.summary import num_parameters
from alexnet.network.weights import ModelMetadata

BATCH_SIZE = 256


def export_bundle(
    folder: Path,
    model: AlexNet,
    metadata: ModelMetadata,
    images: torch.Tensor,
    labels: torch.Tensor,
    metrics: dict[str, Any],
    data: dict[str, Any],
    provenance: dict[str, Any],
    params: config.Export,
    calibration: torch.Tensor,
) -> dict[str, Any]:
    """Export, verify on all test images, and write the folder.

    images: uint8 (N, H, W, C) as stored, of which the network sees the middle; labels:
    int64 (N). metrics: of the evaluate stage. data: name, source digest and counts of
    the data set. calibration: training images, as stored, some of which int8 is shown.
    Returns the figures of the verification; a precision beside fp32 that costs more than
    is allowed has `refused`, the reason, and is not in the folder. Raises UserError if the
    exported model does not agree with PyTorch; then whatever stood in `folder` stays.
    """
    collapse_fc1 = params.collapse_fc1 == "auto" and can_collapse(model, metadata.image_size)
    middle = centre_crop(images, metadata.image_size)
    logits = logits_of(model, metadata, middle, torch.device("cpu"), BATCH_SIZE).numpy()
    _check_accuracy(logits, labels.numpy(), metrics["accuracy"])
    reference = AccuracyReference(middle.numpy(), labels.numpy(), logits)
    shown = centre_crop(spread(calibration, params.num_calibration_images), metadata.image_size)
    preprocessing = export.preprocessing_of(metadata, images.shape[1])

    def write(file: Path, precision: str, dtype: torch.dtype) -> None:
        properties = export.properties_of(metadata, precision, preprocessing, provenance)
        export.write_onnx(
            file,
            model,
            metadata,
            properties,
            opset=params.opset,
            collapse_fc1=collapse_fc1,
            dtype=dtype,
        )

    with atomic_directory(folder) as new:
        full, half, quarter = (new / MODEL_FILENAMES[name] for name in ("fp32", "fp16", "int8"))
        write(full, "fp32", torch.float32)
        proof = export.verify(full, reference.images, logits, params.max_logit_difference)
        figures = {"fp32": reference.measure(full)}
        if "fp16" in params.precisions:
            write(half, "fp16", torch.float16)
            figures["fp16"] = reference.check_precision(half, params)
        if "int8" in params.precisions:
            write_int8(quarter, full, shown.numpy())
            figures["int8"] = reference.check_precision(quarter, params)
        written = {name: row for name, row in figures.items() if "refused" not in row}

        write_json(new / "labels.json", list(metadata.classes))
        write_samples(new, list(written), metadata, spread(images, params.num_samples))
        facts = {
            "schema": SCHEMA,
            "variant": metadata.variant,
            "parameters": num_parameters(model),
            "folded": collapse_fc1,
            "opset": params.opset,
            "precisions": written,
            "preprocessing": preprocessing,
            **_interface(metadata),
            "data": data,
            "metrics": {"split": "test"} | metrics,
            "verification": proof,
            "provenance": provenance,
        }
        write_text(new / "MODEL_CARD.md", model_card(metadata, facts))
        write_text(new / "config.pbtxt", rendered("config.pbtxt.j2", **facts))
        write_manifest(new, facts)
        verify(new)  # as its receiver will
    return proof | {"folded": collapse_fc1, "precisions": figures}


def _interface(metadata: ModelMetadata) -> dict[str, Any]:
    """What the model takes and gives, the same in every precision."""
    scores = {"type": "float32", "shape": ["batch", len(metadata.classes)]}
    return {
        "input": {
            "name": "images",
            "type": "uint8",
            "shape": ["batch", metadata.image_size, metadata.image_size, metadata.channels],
            "layout": "NHWC, as decoded from a file, 0 to 255",
        },
        "outputs": {
            "logits": scores,
            "probabilities": scores,
            "label": {"type": "int64", "shape": ["batch"]},
        },
    }


def spread(images: torch.Tensor, num_images: int) -> torch.Tensor:
    """So many images, or all, from the first to the last: of several classes, if sorted by them."""
    chosen = np.linspace(0, len(images) - 1, min(num_images, len(images))).astype(int)
    return images[chosen]


def _check_accuracy(
    logits: NDArray[np.float32], labels: NDArray[np.int64], reported: float
) -> None:
    accuracy = float((logits.argmax(axis=1) == labels).mean())
    if accuracy != reported:
        raise UserError(
            f"the exported model's accuracy is {accuracy:.6f}, evaluate reported {reported:.6f}; "
            "nothing was exported; evaluate again, on the processor that exports "
            "(evaluate.device: cpu)"
        )


def write_manifest(folder: Path, facts: dict[str, Any]) -> None:
    """Write the manifest, with the digest of every file, and the digest of the manifest."""
    files = {
        file.relative_to(folder).as_posix(): {
            "bytes": file.stat().st_size,
            "sha256": sha256(file),
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }
    write_json(folder / MANIFEST, facts | {"files": files})
    digests = {name: str(entry["sha256"]) for name, entry in files.items()}
    write_text(folder / CHECKSUMS, checksums(digests | {MANIFEST: sha256(folder / MANIFEST)}))


def write_samples(
    folder: Path, precisions: list[str], metadata: ModelMetadata, images: torch.Tensor
) -> None:
    """A few images as they are stored, as PNG, and what each model says of them."""
    (folder / "samples").mkdir()
    names = [f"{index:02d}.png" for index in range(len(images))]
    for name, image in zip(names, images.numpy(), strict=True):
        picture = Image.fromarray(image.squeeze(-1) if metadata.channels == 1 else image)
        picture.save(folder / "samples" / name)
    middle = centre_crop(images, metadata.image_size).numpy()
    for precision in precisions:
        outputs = export.run_onnx(
            folder / MODEL_FILENAMES[precision], middle, batch_size=len(middle)
        )
        rows = zip(names, outputs["label"], outputs["probabilities"].tolist(), strict=True)
        expected = [
            {
                "file": name,
                "label": metadata.classes[label],
                "probabilities": dict(zip(metadata.classes, probabilities, strict=True)),
            }
            for name, label, probabilities in rows
        ]
        write_json(folder / expected_outputs_path(precision), expected)


def model_card(metadata: ModelMetadata, facts: dict[str, Any]) -> str:
    preprocessing = facts["preprocessing"]
    return rendered(
        "MODEL_CARD.md.j2",
        metadata=metadata,
        about=DATASET_CARDS[facts["data"]["kind"]],
        start=(preprocessing["resize"] - preprocessing["crop"]) // 2,
        **facts,
    )


def rendered(template: str, **facts: Any) -> str:
    environment = Environment(
        loader=PackageLoader("alexnet.export", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**facts)
