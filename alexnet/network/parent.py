"""The weights that a training starts from, as two files: their values, and whose they are.

The values are a file of weights like a training's own (`alexnet.network.weights`), in the parent's
variant, with its classes, its image size and its normalisation.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from safetensors.torch import save_file

from alexnet.errors import UserError
from alexnet.files import Sha256, atomic_write, read_record, require_file, sha256, write_json
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata, load_weights, save_weights

ADVICE = "run the stage pretrained again"
SIZE_KEYS = "train.crop_size (or, without a crop, data.image_size)"
EMPTY_BYTES = 16  # at most, of a file without tensors: the length of its header, and {}


@dataclass(frozen=True)
class Parent:
    """Whose weights they are. sha256: of the file that was handed in; of an artifact, its model's.

    `imagenet`: torchvision's, whose classes are ImageNet's. `weights`: a training's. `artifact`: an
    exported model's.
    """

    kind: Literal["imagenet", "weights", "artifact"]
    sha256: Sha256


@dataclass(frozen=True)
class ParentRecord:
    """The contents of models/pretrained.json, if there is a parent."""

    parent: Parent
    values_sha256: Sha256  # of the file of its values beside this one


class ParentNetwork(NamedTuple):
    """A parent with its network, in eval mode."""

    parent: Parent
    model: AlexNet
    metadata: ModelMetadata


def require_fit(parent: ModelMetadata, variant: str, channels: int, image_size: int) -> None:
    """Raises UserError unless the parent's weights are of such a network.

    image_size: the side of its input, in pixels.
    """
    for what, key, own, other in (
        ("variant", "model.variant", variant, parent.variant),
        ("number of channels", "data.channels", channels, parent.channels),
        ("image size", SIZE_KEYS, image_size, parent.image_size),
    ):
        if own != other:
            raise UserError(
                f"model.start_from: its {what} is {other}, and this network's {own}; set {key} to "
                f"{other}, or start from other weights"
            )


def save_parent(weights: Path, record: Path, network: ParentNetwork | None) -> None:
    """Write both files; None: without a parent, when the weights are a file of no tensors."""
    if network is None:
        with atomic_write(weights) as temporary:
            save_file({}, temporary)
        write_json(record, None)
    else:
        save_weights(weights, network.model, network.metadata)
        write_json(record, asdict(ParentRecord(network.parent, sha256(weights))))


def load_parent(weights: Path, record: Path) -> ParentNetwork | None:
    """Raises UserError if a file is missing or damaged, or if the two do not belong together."""
    found = read_parent_record(record)
    if found is None:
        if require_file(weights).stat().st_size > EMPTY_BYTES:
            raise UserError(f"{weights}: has weights, where {record} has no parent; {ADVICE}")
        return None
    if sha256(require_file(weights)) != found.values_sha256:
        raise UserError(f"{weights}: holds other weights than {record} names; {ADVICE}")
    return ParentNetwork(found.parent, *load_weights(weights))


def read_parent_record(record: Path) -> ParentRecord | None:
    """None: there is no parent. Raises UserError if the file is missing or damaged."""
    return read_record(record, ParentRecord | None, ADVICE)  # type: ignore[arg-type]
