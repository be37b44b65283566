"""How each layer fares while the network trains, sampled once an epoch: is training stable?

At an epoch's last step three lengths are taken on the device, and none of them is waited
for: of the gradient before it is clipped, of the weights, and of the way they then move.
During the validation behind it the ReLUs are watched: a channel, or a unit of fc1 and fc2,
that answers to none of the images is dead. All of it only reads: the run's bytes stay the same.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from alexnet.network.model import AlexNet
from alexnet.training.distributed import DistributedContext
from alexnet.training.history import LayerEpoch

GRADIENT, WEIGHT, UPDATE = range(3)


class LayerMonitor:
    """Watches the weights (not the biases) and the ReLUs of one network.

    fc1 is measured as it trains: folded, without its copies, its weights are fewer and
    shorter, its gradient and its updates as long as in the network as it is written.
    """

    def __init__(self, network: AlexNet) -> None:
        self.weights: dict[str, Tensor] = {}  # by layer
        self.relus: dict[str, nn.Module] = {}  # by the layer that each follows
        for name, layer in network.named_children():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                weighted = name
                self.weights[name] = layer.weight
            elif isinstance(layer, nn.ReLU):
                self.relus[weighted] = layer
        device = network.conv1.weight.device
        self.norms = torch.zeros(3, len(self.weights), device=device)  # of the last sample
        self.before: list[Tensor] | None = None  # the weights ahead of a step that is sampled
        self.active_units: dict[str, Tensor] = {}  # bool: which channels some image has moved

    @property
    def is_sampling(self) -> bool:
        """Whether the step under way is sampled."""
        return self.before is not None

    @contextmanager
    def record_step(self, wanted: bool) -> Iterator[None]:
        """Around a step: if `wanted`, measure what it does to the weights."""
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
        """Between backward and clipping: the gradient of the step's mean loss."""
        if self.is_sampling:
            gradients = [weight.grad for weight in self.weights.values()]
            self.norms[GRADIENT] = _norms([grad for grad in gradients if grad is not None])

    @contextmanager
    def track_dead_relus(self) -> Iterator[None]:
        """Note which channels answer at all to the images that go through the network."""
        self.active_units = {
            name: self.norms.new_zeros(len(self.weights[name]), dtype=torch.bool)
            for name in self.relus
        }
        with ExitStack() as hooks:
            for name, relu in self.relus.items():
                hooks.enter_context(relu.register_forward_hook(self._noting(name)))
            yield

    def _noting(self, name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def note(relu: nn.Module, inputs: object, output: Tensor) -> None:
            # (N, C, H, W) or (N, C) to (C): at any place of any image
            self.active_units[name] |= (output.movedim(1, 0).flatten(1) > 0).any(dim=1)

        return note

    def rows(self, epoch: int, distributed: DistributedContext) -> list[LayerEpoch]:
        """What was sampled last, of all processes: it waits for the device."""
        answering = (
            distributed.all_reduce_sum(torch.cat(list(self.active_units.values())).float()) > 0
        )
        shares = answering.split([len(answer) for answer in self.active_units.values()])
        dead = {
            name: 1 - share.double().mean().item()
            for name, share in zip(self.active_units, shares, strict=True)
        }
        columns = self.norms.double().T.tolist()
        return [
            LayerEpoch(
                epoch, name, gradient, weight, update / weight if weight else 0.0, dead.get(name)
            )
            for name, (gradient, weight, update) in zip(self.weights, columns, strict=True)
        ]


def _norms(tensors: list[Tensor]) -> Tensor:
    """The Euclidean norm of each: (len(tensors))."""
    return torch.stack(torch._foreach_norm(tensors))
