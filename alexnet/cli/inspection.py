"""The network that summary and diagram show, built on the meta device."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch

from alexnet.errors import UserError
from alexnet.network.collapse import can_collapse, collapse_for_training
from alexnet.network.cost import LayerCost, TrainingMemory, layer_costs, training_memory
from alexnet.network.freezing import TrainedPart
from alexnet.network.model import VARIANTS, AlexNet
from alexnet.network.summary import Layer, as_dicts, summarize, totals, training_flops


@dataclass(frozen=True)
class Network:
    """A variant for images of one shape, and its layers."""

    model: AlexNet
    input_shape: tuple[int, int, int]  # (C, H, W)
    layers: list[Layer]
    batch_size: int = 1
    freeze: str = "none"

    @property
    def variant(self) -> str:
        return self.model.variant

    @cached_property
    def costs(self) -> list[LayerCost]:
        return layer_costs(self.model, self.layers, self.input_shape[1], self.batch_size)

    @cached_property
    def training(self) -> TrainingMemory:
        return training_memory(self.model, self.input_shape[1], self.batch_size)

    @cached_property
    def training_collapsed(self) -> TrainingMemory | None:
        """With fc1 collapsed, as `train.collapse_fc1` trains; None where it does not apply."""
        size = self.input_shape[1]
        if not can_collapse(self.model, size):
            return None
        collapsed = collapse_for_training(self.model)
        _freeze(collapsed, self.freeze)
        return training_memory(collapsed, size, self.batch_size)

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
        collapsed = self.training_collapsed
        return {
            "variant": self.variant,
            "input_shape": self.input_shape,
            **self.totals,
            "training_flops": self.training_flops,
            "freeze": self.freeze,
            "batch_size": self.batch_size,
            "training_step": {
                "flops": self.batch_size * self.training_flops,
                "memory_bytes": asdict(self.training) | {"total": self.training.total},
                "memory_bytes_fc1_collapsed": (
                    collapsed and asdict(collapsed) | {"total": collapsed.total}
                ),
            },
            "layers": [
                layer | asdict(cost)
                for layer, cost in zip(as_dicts(self.layers), self.costs, strict=True)
            ],
        }


def inspect(
    variant: str,
    image_size: int | None,
    num_classes: int | None,
    channels: int,
    batch_size: int = 1,
    freeze: str = "none",
) -> Network:
    """A variant for square images; None stands for the variant's own size and classes.

    Raises UserError for an unknown variant and for values that it does not take.
    """
    if variant not in VARIANTS:
        raise UserError(f"--variant {variant}: choose one of {', '.join(VARIANTS)}")
    if channels < 1:
        raise UserError(f"--channels {channels}: an image has at least 1 channel")
    if batch_size < 1:
        raise UserError(f"--batch-size {batch_size}: a batch has at least 1 image")
    cls = VARIANTS[variant]
    size = cls.image_size if image_size is None else image_size
    options = {} if num_classes is None else {"num_classes": num_classes}
    try:
        with torch.device("meta"):  # shapes only: instant, and no memory
            model = cls(in_channels=channels, **options)
        _freeze(model, freeze)
        layers = summarize(model, size)
    except ValueError as error:
        raise UserError(str(error)) from None
    return Network(model, (channels, size, size), layers, batch_size, freeze)


def _freeze(model: AlexNet, freeze: str) -> None:
    if freeze != "none":
        TrainedPart(model, freeze)
