"""What a network costs: operations, memory, and how many operations a byte is good for.

Told by the network itself, as in `alexnet.network.summary`: what backward will need is asked of
PyTorch's autograd, which says so on the meta device too, without computing a number.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.func import functional_call

from alexnet.network.model import AlexNet
from alexnet.network.summary import Layer, num_parameters

FLOAT_BYTES = 4  # float32


@dataclass(frozen=True)
class LayerCost:
    """One layer at a batch of N images, in float32."""

    parameters_share: float  # of the network's
    macs_share: float
    activation_bytes: int  # of what it puts out
    saved_activation_bytes: int  # of what it keeps for backward and no layer before it has kept
    arithmetic_intensity: float  # operations forward for each byte that is read or written


def layer_costs(
    model: AlexNet, layers: Sequence[Layer], image_size: int, batch_size: int
) -> list[LayerCost]:
    """The cost of each of the `layers` that `describe` has found in `model`.

    The bytes of a layer are those of its input, its weights and its output, each once: what
    has to pass between memory and arithmetic at the least. A machine that computes F
    operations in the time in which it moves a byte waits for memory where the intensity is
    below F (Williams, Waterman, Patterson: Roofline. CACM 2009).
    """
    kept = saved_activation_bytes(model, image_size, batch_size)
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
                saved_activation_bytes=kept[layer.name],
                arithmetic_intensity=batch_size * layer.flops / moved,
            )
        )
    return costs


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes that stay while a step of training runs in float32; workspaces come on top."""

    weights: int
    gradients: int
    optimizer: int  # one momentum for each weight: SGD's, or Muon's
    activations: int  # kept by forward for backward, images included

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations


def training_memory(model: AlexNet, image_size: int, batch_size: int) -> TrainingMemory:
    weights = FLOAT_BYTES * num_parameters(model)
    activations = sum(saved_activation_bytes(model, image_size, batch_size).values())
    return TrainingMemory(weights, weights, weights, activations)


def saved_activation_bytes(
    model: AlexNet, image_size: int, batch_size: int, device: str = "meta"
) -> dict[str, int]:
    """Bytes that each layer keeps for backward, by its name, as PyTorch does on a CPU.

    What two layers need, such as a ReLU's output and the next convolution's input, is kept
    once, and counted with the first. Weights are not counted.
    """
    x = torch.zeros(batch_size, model.in_channels, image_size, image_size, device=device)
    seen: dict[int, Tensor] = {}  # holds what it has seen, so that no address comes twice
    found: dict[str, int] = {}
    for name, layer in model.named_children():
        weights = {
            key: torch.empty_like(value, device=device).requires_grad_()
            for key, value in layer.state_dict().items()
        }
        seen |= {_storage(weight): weight for weight in weights.values()}
        kept: list[Tensor] = []
        with saved_tensors_hooks(kept.append, lambda none: none):
            x = functional_call(copy.copy(layer).train(), weights, (x,))
        found[name] = 0
        for tensor in kept:
            if _storage(tensor) not in seen:
                seen[_storage(tensor)] = tensor
                found[name] += tensor.untyped_storage().nbytes()
    return found


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
