"""Trained weights on disk: a safetensors file that says what it holds.

The header names the variant, its classes, the image size and the normalisation,
so that a file of weights is usable on its own, and reading it never runs code.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from alexnet.errors import UserError
from alexnet.files import atomic_write, require_file
from alexnet.network.model import VARIANTS, AlexNet


@dataclass(frozen=True)
class ModelMetadata:
    """What the weights belong to. mean and std are of pixel / 255, per channel."""

    variant: str
    classes: tuple[str, ...]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def channels(self) -> int:
        return len(self.mean)


def build(metadata: ModelMetadata, dropout: float) -> AlexNet:
    """A network with fresh weights for what the card describes.

    Raises UserError if the variant does not take images of that size.
    """
    variant = VARIANTS[metadata.variant]
    try:
        variant.check_image_size(metadata.image_size, metadata.image_size)
        return variant(len(metadata.classes), metadata.channels, dropout)
    except ValueError as error:
        raise UserError(
            f"{error}; change model.variant or data.image_size ({metadata.image_size})"
        ) from None


def save_weights(path: Path, model: AlexNet, metadata: ModelMetadata) -> None:
    """Write the model's weights, float32 in the usual layout whatever it trained in."""
    tensors = {
        name: value.detach().to("cpu", torch.float32).contiguous()
        for name, value in model.state_dict().items()
    }
    # One entry: the library writes several in an order that differs from run to run.
    header = {"card": json.dumps(asdict(metadata))}
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=header)
        except SafetensorError as error:  # its own name for a full disk
            raise OSError(f"{path} could not be written: {error}") from None


def load_weights(path: Path) -> tuple[AlexNet, ModelMetadata]:
    """Read weights and build the network that they belong to, ready for inference.

    Raises UserError if the file is missing, damaged, of something else, or holds
    numbers that are not finite.
    """
    try:
        with safe_open(require_file(path), framework="pt") as file:
            header = json.loads((file.metadata() or {})["card"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = ModelMetadata(
            variant=header["variant"],
            classes=tuple(header["classes"]),
            image_size=header["image_size"],
            mean=tuple(header["mean"]),
            std=tuple(header["std"]),
        )
        model = build(metadata, dropout=0.0)
        model.load_state_dict(tensors)
    except (SafetensorError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        raise UserError(
            f"{path} does not hold the weights of a network of ours ({error}); train again"
        ) from None
    broken = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if broken:
        raise UserError(
            f"{path}: {', '.join(broken)} holds values that are not finite; train again"
        )
    return model.eval(), metadata
