"""The folder that is handed over: the model, what it is, and proof that it is whole."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from alexnet import config, export
from alexnet.describe import num_parameters
from alexnet.evaluate import logits_of
from alexnet.files import replacing_folder, sha256, write_json, write_text
from alexnet.fold import can_fold
from alexnet.model import AlexNet
from alexnet.weights import Card

SCHEMA = 1
BATCH_SIZE = 256


def hand_over(
    folder: Path,
    model: AlexNet,
    card: Card,
    images: torch.Tensor,
    metrics: dict[str, Any],
    data: dict[str, Any],
    weights_sha256: str,
    params: config.Export,
) -> dict[str, Any]:
    """Export, verify on all test `images` uint8 (N, H, W, C), and write the folder.

    metrics: of the evaluate stage. data: name, source digest and counts of the data
    set. Returns the figures of the verification. Raises UserError if the exported
    model does not agree with PyTorch; then whatever stood in `folder` stays.
    """
    fold = params.fold == "auto" and can_fold(model, card.image_size)
    expected = logits_of(model, card, images, torch.device("cpu"), BATCH_SIZE).numpy()
    pixels = images.numpy()
    with replacing_folder(folder) as new:
        onnx_file = new / "model.onnx"
        export.write_onnx(onnx_file, model, card, opset=params.opset, fold=fold)
        proof = export.verify(onnx_file, pixels, expected, params.max_logit_difference)
        write_json(new / "labels.json", list(card.classes))
        # Spread over the split, so that the samples are of several classes.
        chosen = np.linspace(0, len(pixels) - 1, params.num_samples).astype(int)
        write_samples(new / "samples", onnx_file, card, pixels[chosen])
        facts = {
            "schema": SCHEMA,
            "variant": card.variant,
            "parameters": num_parameters(model),
            "folded": fold,
            "opset": params.opset,
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
            "weights_sha256": weights_sha256,
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in ("torch", "onnx", "onnxruntime")},
            },
        }
        write_text(new / "MODEL_CARD.md", model_card(card, facts))
        facts["files"] = {
            str(file.relative_to(new)): {"bytes": file.stat().st_size, "sha256": sha256(file)}
            for file in sorted(new.rglob("*"))
            if file.is_file()
        }
        write_json(new / "manifest.json", facts)
    return proof | {"folded": fold, "model_bytes": (folder / "model.onnx").stat().st_size}


def write_samples(folder: Path, model: Path, card: Card, images: NDArray[np.uint8]) -> None:
    """A few images as PNG, and what the model says of them in expected.json."""
    folder.mkdir()
    outputs = export.run_onnx(model, images, batch_size=len(images))
    expected = []
    for index, image in enumerate(images):
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
    return environment.get_template("MODEL_CARD.md.j2").render(card=card, **facts)
