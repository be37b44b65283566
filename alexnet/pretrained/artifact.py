"""The network of an exported artifact, as it was before the export: to train on from there.

The folder is verified first, as its receiver would. An ONNX file without its folder is not
accepted: nothing would say that it is whole, or which logits it should give.
"""

import json
from pathlib import Path

import onnx
import torch
from torch import Tensor

from alexnet.errors import UserError
from alexnet.files import parse_record, sha256, shorten
from alexnet.inference.predictor import MODEL_FILENAMES, Predictor
from alexnet.inference.verification import MAX_DIFFERENCE, verify
from alexnet.network.collapse import expand_collapsed
from alexnet.network.inputs import normalise
from alexnet.network.model import AlexNet
from alexnet.network.parent import Parent, ParentNetwork
from alexnet.network.weights import ModelMetadata, build

NAME = MODEL_FILENAMES["fp32"]


def read_artifact(folder: Path) -> ParentNetwork:
    """Raises UserError if it is no artifact, has changed, or gives other probabilities here."""
    verify(folder)
    path = folder / NAME
    exported = onnx.load(path, load_external_data=False)
    properties = {entry.key: entry.value for entry in exported.metadata_props}
    metadata = _metadata_of(path, properties)
    model = build(metadata, dropout=0.0).eval()
    try:
        tensors = {
            tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
            for tensor in exported.graph.initializer
            if tensor.name in model.state_dict() and tensor.data_type == onnx.TensorProto.FLOAT
        }
        model.load_state_dict(_state_of(tensors, model))
    except (RuntimeError, ValueError) as error:
        reason = shorten(" ".join(str(error).split()), 200)
        raise UserError(f"{path} is not of the variant {metadata.variant}: {reason}") from None
    _check_samples(folder, model, metadata)
    return ParentNetwork(Parent("artifact", sha256(path)), model, metadata)


def _metadata_of(path: Path, properties: dict[str, str]) -> ModelMetadata:
    try:
        values = {key: json.loads(properties[key]) for key in ("classes", "mean", "std")}
        values["image_size"] = json.loads(properties["preprocessing"])["crop"]
        values["variant"] = properties["variant"]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise UserError(f"{path}: its metadata lacks the mean and the deviation") from None
    record = json.dumps(values).encode()
    return parse_record(record, ModelMetadata, f"{path}: its metadata", "export it again")


def _state_of(tensors: dict[str, Tensor], model: AlexNet) -> dict[str, Tensor]:
    """The state dict of `model`; what is not there is left out.

    An export drops a bias of zeros, and makes one input of fc1's copies where all are of one value.
    """
    state = {}
    for name, own in model.state_dict().items():
        value = tensors.get(name, torch.zeros_like(own) if name.endswith(".bias") else None)
        if value is None:
            continue
        is_matrix = value.dim() == 2 and value.numel() > 0
        if name == "fc1.weight" and is_matrix and own.shape[1] % value.shape[1] == 0:
            value = expand_collapsed(value, own.shape[1])
        state[name] = value
    return state


@torch.inference_mode()
def _check_samples(folder: Path, model: AlexNet, metadata: ModelMetadata) -> None:
    """Raises UserError unless the network gives the artifact's probabilities for its samples.

    So its weights, and the normalisation before them, are those of the graph.
    """
    predictor = Predictor(folder, "fp32")
    for sample in sorted(it for it in (folder / "samples").iterdir() if it.suffix != ".json"):
        image = predictor.prepare(sample)[None]
        logits = model(normalise(torch.from_numpy(image), metadata.mean, metadata.std))
        difference = (logits.softmax(1) - torch.from_numpy(predictor.run(image))).abs().max()
        if not difference <= MAX_DIFFERENCE["fp32"]:
            raise UserError(
                f"{folder / NAME}: as the variant {metadata.variant}, its weights give another "
                f"probability for {sample.name} than it does (by {difference:.1e}); was it "
                "exported by this project?"
            )
