"""Figures of each layer, recorded once an epoch: is the training stable?

At an epoch's last step three norms are computed on the device, and no step waits for them: of
the gradient before clipping, of the weights, and of their update. During the validation that
follows, a channel of a convolution, or a unit of fc1 and fc2, whose ReLU is 0 for all images is
counted as dead. The monitor only reads: the run's bytes stay the same.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from alexnet.training.distributed import DistributedContext
from alexnet.training.history import LayerEpoch

GRADIENT, WEIGHT, UPDATE = range(3)


class LayerMonitor:
    """Monitors the weights (not the biases) of one network's layers, and their ReLUs.

    fc1 is monitored as it trains. Without its copies its weights are fewer and their norm is
    smaller; the norms of its gradient and updates are those of the network as it is written.
    """

    def __init__(self, network: nn.Module) -> None:
        self.weights: dict[str, Tensor] = {}  # by layer
        self.relus: dict[str, nn.Module] = {}  # by the layer that each follows
        for name, layer in network.named_modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                self.weights[name] = layer.weight
            elif isinstance(layer, nn.ReLU) and self.weights:
                self.relus[next(reversed(self.weights))] = layer
        device = next(network.parameters()).device
        self.norms = torch.zeros(3, len(self.weights), device=device)  # of the last recorded step
        self.before: list[Tensor] | None = None  # the weights before a step that is recorded
        self.active_units: dict[str, Tensor] = {}  # bool: above 0 for at least one image

    @property
    def is_recording(self) -> bool:
        """Whether the current step is recorded."""
        return self.before is not None

    @contextmanager
    def record_step(self, wanted: bool) -> Iterator[None]:
        """Around a step: if `wanted`, record the norms of the weights and of their update."""
        if not wanted:
            yield
            return
        weights = [weight.detach() for weight in self.weights.values()]
        self.before = [weight.clone() for weight in weights]
        yield
        self.norms[WEIGHT] = _norms(self.before)
        self.norms[UPDATE] = _norms(list(torch._foreach_sub(weights, self.before)))
        self.before = None

    def record_gradients(self) -> None:
        """Between backward and clipping: record the norms of the step's gradient."""
        if self.is_recording:
            gradients = [weight.grad for weight in self.weights.values()]
            self.norms[GRADIENT] = _norms([grad for grad in gradients if grad is not None])

    @contextmanager
    def track_dead_relus(self) -> Iterator[None]:
        """Around a validation: find the channels that are above 0 for at least one image."""
        self.active_units = {
            name: self.norms.new_zeros(len(self.weights[name]), dtype=torch.bool)
            for name in self.relus
        }
        with ExitStack() as hooks:
            for name, relu in self.relus.items():
                hooks.enter_context(relu.register_forward_hook(self._mark_active(name)))
            yield

    def _mark_active(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(relu: nn.Module, inputs: object, output: Tensor) -> None:
            # (N, C, H, W) or (N, C) to (C): at any place of any image
            self.active_units[name] |= (output.movedim(1, 0).flatten(1) > 0).any(dim=1)

        return hook

    def rows(self, epoch: int, distributed: DistributedContext) -> list[LayerEpoch]:
        """The rows of an epoch (from 1), over all processes. Waits for the device."""
        none = self.norms.new_zeros(0)  # no ReLU follows any layer if only the last one trains
        active = torch.cat([none, *self.active_units.values()])
        is_active = distributed.all_reduce_sum(active) > 0
        sizes = [len(units) for units in self.active_units.values()]
        dead = {
            name: 1 - units.double().mean().item()
            for name, units in zip(self.active_units, is_active.split(sizes), strict=True)
        }
        columns = self.norms.double().T.tolist()
        return [
            LayerEpoch(
                epoch, name, gradient, weight, update / weight if weight else 0.0, dead.get(name)
            )
            for name, (gradient, weight, update) in zip(self.weights, columns, strict=True)
        ]

    def state_dict(self) -> dict[str, Tensor]:
        return {"norms": self.norms}


def _norms(tensors: list[Tensor]) -> Tensor:
    """The Euclidean norm of each: (len(tensors))."""
    return torch.stack(torch._foreach_norm(tensors))
