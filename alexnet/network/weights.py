"""Trained weights on disk: a safetensors file with the model's metadata in its header.

The header names the variant, the classes, the image size and the normalisation, so that
the file is usable on its own. Reading it never runs code.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from alexnet.errors import UserError
from alexnet.escape import ClassName
from alexnet.files import (
    Count,
    Share,
    abbreviate,
    atomic_write,
    parse_record,
    require_file,
    shorten,
)
from alexnet.network.model import VARIANTS, AlexNet


@dataclass(frozen=True)
class ModelMetadata:
    """The network that the weights belong to. mean and std are of pixel / 255, per channel."""

    variant: str
    classes: Annotated[tuple[ClassName, ...], Field(min_length=1)]
    image_size: Count
    mean: Annotated[tuple[Share, ...], Field(min_length=1)]
    std: tuple[Annotated[Share, Field(gt=0)], ...]

    def __post_init__(self) -> None:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: should be different names")
        if len(self.mean) != len(self.std):
            raise ValueError("mean, std: should have a value for each channel")

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return len(self.mean)

    @property
    def normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """mean and std."""
        return self.mean, self.std


def build(metadata: ModelMetadata, dropout: float) -> AlexNet:
    """The network that the metadata describes, with initial weights.

    dropout: the probability in training. Raises UserError if there is no such variant or it
    does not take images of that size.
    """
    variant = VARIANTS.get(metadata.variant)
    if variant is None:
        raise UserError(f"no variant is named {metadata.variant}; there are {', '.join(VARIANTS)}")
    try:
        variant.check_image_size(metadata.image_size, metadata.image_size)
        return variant(len(metadata.classes), metadata.channels, dropout)
    except ValueError as error:
        raise UserError(
            f"{error}; change model.variant or data.image_size ({metadata.image_size})"
        ) from None


def save_weights(path: Path, model: AlexNet, metadata: ModelMetadata) -> None:
    """Write the model's parameters and buffers.

    Floating-point numbers of any type become float32 in the standard layout; integers, such
    as a batch normalisation's count of batches, keep their type.
    Raises OSError that names the file if it cannot be written.
    """
    tensors = {
        name: value.detach()
        .to("cpu", torch.float32 if value.is_floating_point() else value.dtype)
        .contiguous()
        for name, value in model.state_dict().items()
    }
    # One entry: the library writes several in an order that differs from run to run. Its key
    # is part of the file format.
    header = {"card": json.dumps(asdict(metadata))}
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary, metadata=header)
        except SafetensorError as error:  # the library's name for a full disk
            raise OSError(f"{path} could not be written: {error}") from None


def load_weights(path: Path) -> tuple[AlexNet, ModelMetadata]:
    """Read weights and build the network that they belong to, in eval mode.

    Raises UserError if the file is missing, damaged, or of something else, or if it holds
    values that are not finite.
    """
    require_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            if "card" not in (header := file.metadata() or {}):
                raise RuntimeError("no metadata of this project in its header")
            card = header["card"].encode()
            metadata = parse_record(card, ModelMetadata, "its header", "train again")
            with torch.device("meta"):  # its shapes: a small file may claim a network of gigabytes
                expected = build(metadata, dropout=0.0).state_dict()
            names = list(file.keys())
            found = {(name, *file.get_slice(name).get_shape()) for name in names}
            if others := found ^ {(name, *value.shape) for name, value in expected.items()}:
                wrong = sorted({name for name, *_ in others})
                raise RuntimeError(f"other layers or sizes: {abbreviate(wrong)}")
            tensors = {name: file.get_tensor(name) for name in names}
        if wrong := [name for name in tensors if tensors[name].dtype != expected[name].dtype]:
            raise RuntimeError(f"another type of numbers: {abbreviate(wrong)}")
        model = build(metadata, dropout=0.0)
        model.load_state_dict(tensors)
    except UserError as error:  # of the header, or of `build`
        raise UserError(f"{path}: {shorten(' '.join(str(error).split()), 300)}") from None
    except (SafetensorError, RuntimeError) as error:
        reason = shorten(" ".join(str(error).split()), 200)
        raise UserError(
            f"{path} does not hold weights of this project's networks ({reason}); train again"
        ) from None
    non_finite = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if non_finite:
        raise UserError(
            f"{path}: {', '.join(non_finite)} holds values that are not finite; train again"
        )
    return model.eval(), metadata
