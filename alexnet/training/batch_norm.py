"""Batch normalisation while training, folded into the weights at the end.

Behind a layer, before its ReLU, each channel is normalised by its mean m and variance v over
the batch and all positions (Ioffe & Szegedy, arXiv 1502.03167), then scaled and shifted by
two trained numbers:

    y = scale (W x - m) / s + shift,    s = sqrt(v + eps)

The layer's own bias would only move m with it, so it is left out. For fixed m and v this is a
layer without normalisation (`fold`):

    y = (scale / s) W x + (shift - scale m / s)

so that the network that is saved, evaluated and exported is the one of its table, without one
parameter more. No running statistics are kept: m and v are those of the averaged weights, over
a fixed set of training images without augmentation (`exact_statistics`; for averaged weights
running ones would not even be right: Izmailov et al., arXiv 1803.05407, section 3.2).
"""

import copy
from collections.abc import Callable, Iterable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from alexnet.network.layers import Conv2d
from alexnet.network.model import AlexNet
from alexnet.network.reference.network import ReferenceConv2d, ReferenceLinear
from alexnet.network.reference.normalisation import BatchNormalisation
from alexnet.training.distributed import SINGLE_PROCESS, DistributedContext

EPS = 1e-5  # the usual one, also of torch.nn.BatchNorm2d

Statistics = dict[str, tuple[Tensor, Tensor]]  # by layer: mean and variance, float64 (channels)


class BatchNorm(nn.Module):
    """Normalises each channel over the batch, in training and in eval mode alike.

    Statistics are in float32 whatever the type of the input, and of the whole batch over all
    processes.
    """

    def __init__(
        self, num_channels: int, total: Callable[[Tensor], Tensor] | None, device: torch.device
    ) -> None:
        """total: None for PyTorch's operation, else that of the reference's one."""
        super().__init__()
        self.total = total
        self.weight = nn.Parameter(torch.ones(num_channels, device=device))  # the scale
        self.bias = nn.Parameter(torch.zeros(num_channels, device=device))  # the shift

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, ...) to the same shape and type."""
        if self.total:
            return BatchNormalisation.apply(x, self.weight, self.bias, EPS, self.total)
        return torch.batch_norm(
            x, self.weight, self.bias, None, None, True, 0.0, EPS, torch.backends.cudnn.enabled
        )


class Normalised(nn.Module):
    """A layer, without its bias, whose output is normalised."""

    norm: BatchNorm

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class NormalisedConv2d(Normalised, Conv2d):
    pass


class NormalisedLinear(Normalised, nn.Linear):
    pass


class NormalisedReferenceConv2d(Normalised, ReferenceConv2d):
    pass


class NormalisedReferenceLinear(Normalised, ReferenceLinear):
    pass


NORMALISED: dict[type[nn.Module], type[Normalised]] = {
    nn.Conv2d: NormalisedConv2d,
    Conv2d: NormalisedConv2d,
    nn.Linear: NormalisedLinear,
    ReferenceConv2d: NormalisedReferenceConv2d,
    ReferenceLinear: NormalisedReferenceLinear,
}


def with_batch_norm(model: AlexNet, distributed: DistributedContext = SINGLE_PROCESS) -> AlexNet:
    """The network to train in place of `model`, normalised behind every layer but the last.

    It shares all but the biases of these layers with `model`, the weights included.
    """
    network = copy.copy(model)
    network._modules = dict(model._modules)
    *hidden, _ = (name for name, layer in model.named_children() if type(layer) in NORMALISED)
    for name in hidden:
        network._modules[name] = _normalised(model.get_submodule(name), distributed)
    return network


def _normalised(layer: nn.Module, distributed: DistributedContext) -> Normalised:
    normalised = copy.copy(layer)
    normalised.__class__ = NORMALISED[type(layer)]
    weight: Tensor = layer.weight  # type: ignore[assignment]
    # PyTorch's operation has statistics of one process alone. (SyncBatchNorm needs a GPU.)
    by_reference = distributed.world_size > 1 or isinstance(
        layer, ReferenceConv2d | ReferenceLinear
    )
    total = distributed.all_reduce_sum if by_reference else None
    normalised._parameters = layer._parameters | {"bias": None}
    normalised._modules = {"norm": BatchNorm(len(weight), total, weight.device)}
    assert isinstance(normalised, Normalised)
    return normalised


def exact_statistics(
    network: AlexNet, forward: Callable[[Tensor], object], batches: Iterable[Tensor]
) -> Statistics:
    """The mean and variance of what each layer of `network` computes, over all `batches`.

    forward: the network's, on a batch, each normalised by its own statistics.
    """
    sums: dict[str, Tensor] = {}  # (3, channels): of the count, the mean, the mean square

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def hook(norm: nn.Module, inputs: tuple[Tensor]) -> None:
            (x,) = inputs
            variance, mean = torch.var_mean(x.float(), (0, *range(2, x.dim())), correction=0)
            mean, variance = mean.double(), variance.double()
            moments = torch.stack([torch.ones_like(mean), mean, variance + mean.square()])
            sums[name] = sums.get(name, 0) + len(x) * moments

        return hook

    with ExitStack() as hooks:
        for name, layer in network.named_children():
            if isinstance(layer, Normalised):
                hooks.enter_context(layer.norm.register_forward_pre_hook(record(name)))
        for batch in batches:
            forward(batch)
    statistics = {}
    for name, (count, mean, square) in sums.items():
        mean, square = mean / count, square / count
        statistics[name] = mean, square - mean.square()
    return statistics


def fold(weights: dict[str, Tensor], statistics: Statistics) -> dict[str, Tensor]:
    """The state dict of the network that `with_batch_norm` was given, computed in float64.

    weights: a state dict of the normalised network.
    """
    folded = dict(weights)
    for name, (mean, variance) in statistics.items():
        scale = folded.pop(f"{name}.norm.weight").double() / (variance + EPS).sqrt()
        weight, shift = folded[f"{name}.weight"], folded.pop(f"{name}.norm.bias").double()
        by_row = scale.view(-1, *[1] * (weight.dim() - 1))
        folded[f"{name}.weight"] = (weight.double() * by_row).to(weight.dtype)
        folded[f"{name}.bias"] = (shift - scale * mean).to(weight.dtype)
    return folded
