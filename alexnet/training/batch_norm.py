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
import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from alexnet.errors import UserError
from alexnet.network.convolution import Conv2d
from alexnet.network.reference.network import ReferenceConv2d, ReferenceLinear
from alexnet.network.reference.normalisation import BatchNormalisation
from alexnet.training.distributed import SINGLE_PROCESS, DistributedContext
from alexnet.training.loader import evenly_spaced

EPS = 1e-5  # the usual one, also of torch.nn.BatchNorm2d
NUM_IMAGES = 4_096  # training images of which the exact statistics are taken

Statistics = dict[str, tuple[Tensor, Tensor]]  # by layer: mean and variance, float64 (channels)


class BatchNorm(nn.Module):
    """Normalises each channel over the batch, in training and in eval mode alike.

    Statistics are in float32 whatever the type of the input, and of the whole batch over all
    processes: three small all-reduces a layer, which are captured in a CUDA graph like all else.
    (torch.compile traces them from PyTorch 2.14 on; 2.11 runs such a normalisation uncompiled.)
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


def with_batch_norm(
    model: nn.Module, distributed: DistributedContext = SINGLE_PROCESS
) -> nn.Module:
    """The network to train in place of `model`, normalised behind every layer but the last.

    It shares all but the biases of these layers with `model`, the weights included. Raises
    UserError, which names the layer, for a kind that cannot be normalised or folded.
    """
    network = copy.copy(model)
    network._modules = dict(model._modules)
    *hidden, _ = (
        (name, layer)
        for name, layer in model.named_children()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    )
    for name, layer in hidden:
        if type(layer) not in NORMALISED or layer.bias is None:
            raise UserError(
                f"layer {name} ({layer}): batch normalisation is folded into the weight and bias "
                "of Conv2d and Linear alone; set train.batch_norm to none"
            )
        network._modules[name] = _normalised(layer, distributed)
    return network


def _normalised(layer: nn.Conv2d | nn.Linear, distributed: DistributedContext) -> Normalised:
    normalised: nn.Module = copy.copy(layer)
    normalised.__class__ = NORMALISED[type(layer)]
    weight = layer.weight
    # PyTorch's operation has statistics of one process alone, and SyncBatchNorm needs a GPU.
    by_reference = distributed.world_size > 1 or isinstance(
        layer, ReferenceConv2d | ReferenceLinear
    )
    total = distributed.all_reduce_sum if by_reference else None
    normalised._parameters = layer._parameters | {"bias": None}
    normalised._modules = {"norm": BatchNorm(len(weight), total, weight.device)}
    assert isinstance(normalised, Normalised)
    return normalised


def exact_statistics(
    network: nn.Module,
    forward: Callable[[Tensor], object],
    images: Tensor,
    batch_size: int,
    distributed: DistributedContext = SINGLE_PROCESS,
) -> Statistics:
    """The mean and variance of what each normalisation gets, over some of the training images.

    forward: `network`'s on a batch of `images`, which is normalised by its own statistics.
    """
    norms = {
        name: layer.norm
        for name, layer in network.named_children()
        if isinstance(layer, Normalised)
    }
    return statistics(network, norms, forward, images, batch_size, distributed)


@torch.no_grad()
def statistics(
    network: nn.Module,
    modules: Mapping[str, nn.Module],
    forward: Callable[[Tensor], object],
    images: Tensor,
    batch_size: int,
    distributed: DistributedContext = SINGLE_PROCESS,
) -> Statistics:
    """The mean and variance of what modules of `network` give, or a BatchNorm gets, by channel.

    forward: `network`'s on a batch of `images`, of which NUM_IMAGES are taken. Each process has
    its shard of every batch; the result is the same in all of them.
    """
    # By name, float64 (3, channels): the sums of 1, x and x^2, of this process's images.
    sums = {
        name: module.weight.new_zeros(3, len(module.weight), dtype=torch.float64)  # type: ignore
        for name, module in modules.items()
    }

    def record(name: str) -> Callable[[nn.Module, tuple[Tensor], Tensor], None]:
        def hook(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            x = inputs[0] if isinstance(module, BatchNorm) else output
            if len(x):
                variance, mean = torch.var_mean(x.float(), (0, *range(2, x.dim())), correction=0)
                mean, variance = mean.double(), variance.double()
                moments = torch.stack([torch.ones_like(mean), mean, variance + mean.square()])
                sums[name] += x.numel() / len(mean) * moments

        return hook

    network.eval()  # without dropout
    rows = evenly_spaced(len(images), NUM_IMAGES)
    num_batches = math.ceil(len(rows) / batch_size)
    with ExitStack() as hooks:
        for name, module in modules.items():
            hooks.enter_context(module.register_forward_hook(record(name)))
        for first in range(num_batches):
            # The images may be in the order of their classes: each batch has some from everywhere.
            batch = rows[first::num_batches]
            forward(images[batch[distributed.shard(len(batch))]])
    found = {}
    for name, own in sums.items():
        count, total, squares = distributed.all_reduce_sum(own)
        mean = total / count
        found[name] = mean, squares / count - mean.square()
    return found


@torch.no_grad()
def match_outputs(network: nn.Module, of_layers: Statistics) -> None:
    """Let a normalised network begin as the one it was made of: scale = s, shift = m.

    of_layers: the mean and variance of what its layers give without a normalisation.
    """
    for name, (mean, variance) in of_layers.items():
        norm = network.get_submodule(name).norm
        assert isinstance(norm, BatchNorm)
        norm.weight.copy_((variance + EPS).sqrt())
        norm.bias.copy_(mean)


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
