"""The folder that is handed over: the model, what it is, and proof that it is whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from alexnet import config, export
from alexnet.about import ABOUT
from alexnet.augment import centre_crop
from alexnet.describe import num_parameters
from alexnet.errors import UserError
from alexnet.evaluate import logits_of
from alexnet.files import replacing_folder, sha256, write_json, write_text
from alexnet.fold import can_fold
from alexnet.model import AlexNet
from alexnet.verify import CHECKSUMS, MANIFEST, MODEL, SCHEMA, checksums, verify
from alexnet.weights import Card

BATCH_SIZE = 256


def hand_over(
    folder: Path,
    model: AlexNet,
    card: Card,
    images: torch.Tensor,
    labels: torch.Tensor,
    metrics: dict[str, Any],
    data: dict[str, Any],
    provenance: dict[str, Any],
    params: config.Export,
) -> dict[str, Any]:
    """Export, verify on all test images, and write the folder.

    images: uint8 (N, H, W, C) as stored, of which the network sees the middle; labels:
    int64 (N). metrics: of the evaluate stage. data: name, source digest and counts of
    the data set. Returns the figures of the verification. Raises UserError if the
    exported model does not agree with PyTorch; then whatever stood in `folder` stays.
    """
    fold = params.fold == "auto" and can_fold(model, card.image_size)
    middle = centre_crop(images, card.image_size)
    expected = logits_of(model, card, middle, torch.device("cpu"), BATCH_SIZE).numpy()
    preprocessing = export.preprocessing_of(card, images.shape[1])
    properties = export.properties_of(card, preprocessing, provenance)
    with replacing_folder(folder) as new:
        model_file = new / MODEL
        export.write_onnx(model_file, model, card, properties, opset=params.opset, fold=fold)
        proof = export.verify(model_file, middle.numpy(), expected, params.max_logit_difference)
        _check_accuracy(expected, labels.numpy(), metrics["accuracy"])
        write_json(new / "labels.json", list(card.classes))
        # Spread over the split, so that the samples are of several classes.
        chosen = np.linspace(0, len(images) - 1, params.num_samples).astype(int)
        write_samples(new / "samples", model_file, card, images[chosen])
        facts = {
            "schema": SCHEMA,
            "variant": card.variant,
            "parameters": num_parameters(model),
            "folded": fold,
            "opset": params.opset,
            "preprocessing": preprocessing,
            "input": {
                "name": "images",
                "type": "uint8",
                "shape": ["batch", card.image_size, card.image_size, card.channels],
                "layout": "NHWC, as decoded from a file, 0 to 255",
            },
            "outputs": {
                "logits": {"type": "float32", "shape": ["batch", len(card.classes)]},
                "probabilities": {"type": "float32", "shape": ["batch", len(card.classes)]},
                "label": {"type": "int64", "shape": ["batch"]},
            },
            "data": data,
            "metrics": {"split": "test"} | metrics,
            "verification": proof,
            "provenance": provenance,
        }
        write_text(new / "MODEL_CARD.md", model_card(card, facts))
        seal(new, facts)
        verify(new)  # as its receiver will
    return proof | {"folded": fold, "model_bytes": (folder / MODEL).stat().st_size}


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


def seal(folder: Path, facts: dict[str, Any]) -> None:
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


def write_samples(folder: Path, model: Path, card: Card, images: torch.Tensor) -> None:
    """A few images as they are stored, as PNG, and what the model says of them."""
    folder.mkdir()
    middle = centre_crop(images, card.image_size)
    outputs = export.run_onnx(model, middle.numpy(), batch_size=len(images))
    expected = []
    for index, image in enumerate(images.numpy()):
        name = f"{index:02d}.png"
        Image.fromarray(image.squeeze(-1) if card.channels == 1 else image).save(folder / name)
        expected.append(
            {
                "file": name,
                "label": card.classes[outputs["label"][index]],
                "probabilities": dict(
                    zip(card.classes, outputs["probabilities"][index].tolist(), strict=True)
                ),
            }
        )
    write_json(folder / "expected.json", expected)


def model_card(card: Card, facts: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("alexnet", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["json"] = json.dumps
    preprocessing = facts["preprocessing"]
    return environment.get_template("MODEL_CARD.md.j2").render(
        card=card,
        about=ABOUT[facts["data"]["kind"]],
        start=(preprocessing["resize"] - preprocessing["crop"]) // 2,
        **facts,
    )
