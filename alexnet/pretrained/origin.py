"""What model.start_from names: published weights, a file of weights, or an exported artifact."""

import re
from pathlib import Path

from alexnet.data.locate import hint, local_path
from alexnet.data.transfer import is_url
from alexnet.errors import UserError
from alexnet.files import sha256
from alexnet.inference.manifest import MANIFEST
from alexnet.network.parent import Parent, ParentNetwork
from alexnet.network.weights import load_weights
from alexnet.pretrained.artifact import NAME, read_artifact

KEY = "model.start_from"
ACCEPTED = (
    f"{KEY} takes imagenet, a file of weights that train has written (.safetensors), the folder of "
    "an exported artifact, or REVISION:FILE"
)
PICKLE = (
    "a pickle, which may run code (if it is torchvision's alexnet, start from imagenet, and name "
    "the file in model.start_source)"
)
# How a file begins that is none of these, and what it is.
KINDS = {
    rb"\Z": "is empty",
    rb"PK\x03\x04": f"is a zip archive, as torch.save writes one: {PICKLE}",
    rb"\x80[\x02-\x05](?!\x00\x00)": f"is {PICKLE}",
    rb"\x89HDF": "is an HDF5 file",
}


def read_parent(start_from: str, path: Path | None = None) -> ParentNetwork:
    """The network of a file of weights, or of an exported artifact.

    path: where it lies, if that is not what `start_from` says; the messages name `start_from`.
    Raises UserError if it is something else, or damaged.
    """
    try:
        if path is None and is_url(start_from):
            raise UserError(f"{start_from} is an address; name the path of a copy on this machine")
        return _read(path or local_path(start_from))
    except UserError as error:
        message = str(error)
        if path:  # or its folder, of a model
            message = message.replace(str(path), start_from)
            message = message.replace(str(path.parent), start_from.rpartition("/")[0])
        raise UserError(f"{KEY}: {message}") from None


def _read(path: Path) -> ParentNetwork:
    if path.name == NAME and (path.parent / MANIFEST).is_file():
        path = path.parent
    if path.is_dir():
        if not (path / MANIFEST).is_file():
            raise UserError(f"{path} is no exported artifact, for it has no {MANIFEST}; {ACCEPTED}")
        return read_artifact(path)
    if not path.exists():
        raise UserError(f"{path} does not exist{hint(str(path))}; {ACCEPTED}")
    if not path.is_file():
        raise UserError(f"{path} is no plain file; {ACCEPTED}")
    if path.suffix == ".onnx":
        raise UserError(
            f"{path} is a model without its folder, or in a lower precision; name the whole folder "
            f"that was exported, with {NAME} and the {MANIFEST} by which it is verified"
        )
    with path.open("rb") as file:  # an OSError names the path
        start = file.read(4)
    digest = sha256(path)
    try:
        return ParentNetwork(Parent("weights", digest), *load_weights(path))
    except UserError as error:
        # Only now: a file of weights begins with the length of its header, which is any number.
        kind = next((KINDS[magic] for magic in KINDS if re.match(magic, start)), None)
        if kind:
            raise UserError(f"{path} {kind}; {ACCEPTED}") from None
        message = str(error).removesuffix("; train again")
        raise UserError(f"{message}; start from other weights: {ACCEPTED}") from None
