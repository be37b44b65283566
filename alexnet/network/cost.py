"""The cost of a network: operations, memory, and operations for each byte moved.

Derived from the network itself, as in `alexnet.network.summary`. The tensors that backward
needs are those that PyTorch's autograd saves; it saves them on the meta device too, without
computing a number.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from alexnet.errors import UserError
from alexnet.network.model import AlexNet
from alexnet.network.summary import Layer, num_parameters, tensors_on

FLOAT_BYTES = 4  # float32


@dataclass(frozen=True)
class LayerCost:
    """One layer at a batch of N images, in float32."""

    parameters_share: float  # of the network's
    macs_share: float
    activation_bytes: int  # of its output
    saved_activation_bytes: int  # saved for backward, and by no layer before it
    arithmetic_intensity: float  # operations of forward for each byte read or written


def layer_costs(
    model: AlexNet, layers: Sequence[Layer], image_size: int, batch_size: int
) -> list[LayerCost]:
    """The cost of each of the `layers` of `model`, which `summarize` returns.

    The bytes moved by a layer are those of its input, its weights and its output, each once:
    the least that has to pass between memory and arithmetic. A processor that computes F
    operations in the time it moves a byte waits for memory where the intensity is below F
    (Williams, Waterman, Patterson: Roofline. CACM 2009).
    """
    saved = saved_activation_bytes(model, image_size, batch_size)
    all_parameters = sum(layer.parameters for layer in layers)
    all_macs = sum(layer.macs for layer in layers)
    costs = []
    values = model.in_channels * image_size**2
    for layer in layers:
        inputs, values = values, prod(layer.output_shape)
        moved = FLOAT_BYTES * (batch_size * (inputs + values) + layer.parameters)
        costs.append(
            LayerCost(
                parameters_share=layer.parameters / all_parameters,
                macs_share=layer.macs / all_macs,
                activation_bytes=FLOAT_BYTES * batch_size * values,
                saved_activation_bytes=saved[layer.name],
                arithmetic_intensity=batch_size * layer.flops / moved,
            )
        )
    return costs


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes held during a training step in float32; workspaces come on top."""

    weights: int
    gradients: int
    optimizer: int  # one momentum for each weight that trains: SGD's, or Muon's
    activations: int  # saved by forward for backward, images included

    @property
    def total(self) -> int:
        """Their sum."""
        return self.weights + self.gradients + self.optimizer + self.activations


def training_memory(model: AlexNet, image_size: int, batch_size: int) -> TrainingMemory:
    """The memory of a training step on `batch_size` images (buffers, a few KB, aside)."""
    weights = FLOAT_BYTES * num_parameters(model)
    trained = FLOAT_BYTES * sum(p.numel() for p in model.parameters() if p.requires_grad)
    activations = sum(saved_activation_bytes(model, image_size, batch_size).values())
    return TrainingMemory(weights, trained, trained, activations)


def saved_activation_bytes(
    model: AlexNet, image_size: int, batch_size: int, device: str = "meta"
) -> dict[str, int]:
    """Bytes that each layer saves for backward, by its name, as PyTorch does on a CPU.

    A tensor that two layers need, such as a ReLU's output and the next convolution's input,
    is saved once, and counted for the first of them. Parameters and buffers are not counted.
    Raises UserError, which names the layer, where a layer cannot train on such a batch.
    """
    x = torch.zeros(batch_size, model.in_channels, image_size, image_size, device=device)
    seen: dict[int, Tensor] = {}  # holds the tensors, so that no address comes twice
    found: dict[str, int] = {}
    for name, layer in model.named_children():
        tensors = tensors_on(layer, device)
        seen |= {_storage(tensor): tensor for tensor in tensors.values()}
        saved: list[Tensor] = []
        try:
            with saved_tensors_hooks(saved.append, lambda none: none):
                x = functional_call(copy.copy(layer).train(), tensors, (x,))
        except ValueError as error:  # a batch normalisation of a single value
            raise UserError(
                f"layer {name} ({type(layer).__name__}), batch size {batch_size}: {error}"
            ) from None
        found[name] = 0
        for tensor in saved:
            if _storage(tensor) not in seen:
                seen[_storage(tensor)] = tensor
                found[name] += tensor.untyped_storage().nbytes()
    return found


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
