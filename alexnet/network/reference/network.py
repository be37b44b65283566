"""The network made of the reference operations.

Each layer is a subclass of PyTorch's with another forward. Names, parameters and attributes
are the same, so that everything that reads the network (the summary table, the
initialisation, the weights on disk) works on both.
"""

import copy
from typing import Any

from torch import Tensor, nn

from alexnet.errors import UserError
from alexnet.network import convolution, layers
from alexnet.network.model import AlexNet
from alexnet.network.reference.convolution import Convolution
from alexnet.network.reference.neurons import Dropout, Linear, ReLU
from alexnet.network.reference.normalisation import LocalResponseNormalisation
from alexnet.network.reference.pooling import AdaptiveAveragePool, MaxPool
from alexnet.network.summary import window_of


class ReferenceConv2d(convolution.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        stride, padding = self.stride[0], int(self.padding[0])
        return Convolution.apply(x, self.weight, self.bias, stride, padding, self.groups)


class ReferenceLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return Linear.apply(x, self.weight, self.bias)


class ReferenceReLU(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return ReLU.apply(x)


class ReferenceMaxPool2d(nn.MaxPool2d):
    def forward(self, x: Tensor) -> Tensor:
        return MaxPool.apply(x, self.kernel_size, self.stride, self.padding)


class ReferenceAdaptiveAvgPool2d(layers.AdaptiveAvgPool2d):
    def forward(self, x: Tensor) -> Tensor:
        return AdaptiveAveragePool.apply(x, _sides(self)[0])


class ReferenceLocalResponseNorm(layers.LocalResponseNorm):
    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha / self.size  # the paper's
        return LocalResponseNormalisation.apply(x, self.size, alpha, self.beta, self.k)


class ReferenceDropout(nn.Dropout):
    def forward(self, x: Tensor) -> Tensor:
        return Dropout.apply(x, self.p) if self.training and self.p > 0 else x


COUNTERPARTS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: ReferenceConv2d,
    convolution.Conv2d: ReferenceConv2d,
    nn.Linear: ReferenceLinear,
    nn.ReLU: ReferenceReLU,
    nn.MaxPool2d: ReferenceMaxPool2d,
    nn.AdaptiveAvgPool2d: ReferenceAdaptiveAvgPool2d,
    layers.AdaptiveAvgPool2d: ReferenceAdaptiveAvgPool2d,
    nn.LocalResponseNorm: ReferenceLocalResponseNorm,
    layers.LocalResponseNorm: ReferenceLocalResponseNorm,
    nn.Dropout: ReferenceDropout,
    nn.Flatten: nn.Flatten,  # computes nothing
}


def with_reference_operations(model: AlexNet) -> AlexNet:
    """The same network of reference operations; it shares all parameters with `model`.

    Raises UserError, which names the layer, for a kind that has no reference operation.
    """
    network = copy.copy(model)
    network._modules = {name: _counterpart(name, layer) for name, layer in model.named_children()}
    return network


def _counterpart(name: str, layer: nn.Module) -> nn.Module:
    """A layer of the same settings and parameters with the reference's forward."""
    lacks = None
    if type(layer) not in COUNTERPARTS:
        lacks = "no reference operation for it"
    elif getattr(layer, "padding_mode", "zeros") != "zeros" or getattr(layer, "ceil_mode", False):
        lacks = "the reference operation pads with zeros and rounds down"
    elif isinstance(layer, nn.AdaptiveAvgPool2d) and not _is_square(layer):
        lacks = "the reference operation pools to squares"
    if lacks:
        raise UserError(
            f"layer {name} ({type(layer).__name__}): {lacks}; write one in "
            "alexnet/network/reference, or set model.ops to library"
        )
    window_of(name, layer)  # square, else an error
    counterpart = copy.copy(layer)
    counterpart.__class__ = COUNTERPARTS[type(layer)]
    return counterpart


def _is_square(pool: nn.AdaptiveAvgPool2d) -> bool:
    return len(set(_sides(pool))) == 1


def _sides(pool: nn.AdaptiveAvgPool2d) -> tuple[int, int]:
    size: Any = pool.output_size
    return (size, size) if isinstance(size, int) else size
