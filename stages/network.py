"""The network that summary and diagram are asked for, built on the meta device."""

from dataclasses import dataclass
from typing import Any

import torch

from alexnet.describe import Layer, as_dicts, describe, totals, training_flops
from alexnet.errors import UserError
from alexnet.model import VARIANTS


@dataclass(frozen=True)
class Network:
    """A variant for images of one shape, and its layers."""

    variant: str
    input_shape: tuple[int, int, int]  # (C, H, W)
    layers: list[Layer]

    @property
    def title(self) -> str:
        channels, height, width = self.input_shape
        return f"AlexNet, variant {self.variant}, for images of {channels}x{height}x{width}"

    @property
    def totals(self) -> dict[str, int]:
        return totals(self.layers)

    @property
    def training_flops(self) -> int:
        return training_flops(self.layers)

    def as_dict(self) -> dict[str, Any]:
        return {
            "variant": self.variant,
            "input_shape": self.input_shape,
            **self.totals,
            "training_flops": self.training_flops,
            "layers": as_dicts(self.layers),
        }


def inspect(
    variant: str, image_size: int | None, num_classes: int | None, channels: int
) -> Network:
    """Raises UserError for an unknown variant or what it does not take."""
    if variant not in VARIANTS:
        raise UserError(f"--variant {variant}: there are {', '.join(VARIANTS)}")
    if channels < 1:
        raise UserError(f"--channels {channels}: an image has at least 1 channel")
    chosen = VARIANTS[variant]
    size = chosen.image_size if image_size is None else image_size
    options = {} if num_classes is None else {"num_classes": num_classes}
    try:
        with torch.device("meta"):  # shapes without numbers: instant, and no memory
            layers = describe(chosen(in_channels=channels, **options), size)
    except ValueError as error:
        raise UserError(str(error)) from None
    return Network(variant, (channels, size, size), layers)
