"""The network made of the reference operations.

Each layer is PyTorch's own with another forward: it holds its parameters under the same
names and tells the same sizes, so that everything that reads the network (its table, its
initialisation, its weights on disk) finds what it knows.
"""

import copy

from torch import Tensor, nn

from alexnet.network.model import AlexNet
from alexnet.network.reference.convolution import Convolution
from alexnet.network.reference.neurons import Dropout, Linear, ReLU
from alexnet.network.reference.normalisation import LocalResponseNormalisation
from alexnet.network.reference.pooling import AdaptiveAveragePool, MaxPool


class ReferenceConv2d(nn.Conv2d):
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


class ReferenceAdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    def forward(self, x: Tensor) -> Tensor:
        assert isinstance(self.output_size, tuple)
        return AdaptiveAveragePool.apply(x, self.output_size[0])


class ReferenceLocalResponseNorm(nn.LocalResponseNorm):
    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha / self.size  # the paper's
        return LocalResponseNormalisation.apply(x, self.size, alpha, self.beta, self.k)


class ReferenceDropout(nn.Dropout):
    def forward(self, x: Tensor) -> Tensor:
        return Dropout.apply(x, self.p) if self.training and self.p > 0 else x


COUNTERPARTS: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: ReferenceConv2d,
    nn.Linear: ReferenceLinear,
    nn.ReLU: ReferenceReLU,
    nn.MaxPool2d: ReferenceMaxPool2d,
    nn.AdaptiveAvgPool2d: ReferenceAdaptiveAvgPool2d,
    nn.LocalResponseNorm: ReferenceLocalResponseNorm,
    nn.Dropout: ReferenceDropout,
    nn.Flatten: nn.Flatten,  # computes nothing
}


def with_reference_operations(model: AlexNet) -> AlexNet:
    """The same network of reference operations; it shares all parameters with `model`."""
    network = copy.copy(model)
    network._modules = {name: _counterpart(layer) for name, layer in model.named_children()}
    return network


def _counterpart(layer: nn.Module) -> nn.Module:
    """The layer with its settings and parameters, but the reference's forward."""
    twin = copy.copy(layer)
    twin.__class__ = COUNTERPARTS[type(layer)]
    return twin
