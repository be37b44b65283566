"""The network for the benchmark's baselines: the same, with PyTorch's own layers."""

from torch import nn

from alexnet.network.convolution import Conv2d
from alexnet.network.layers import AdaptiveAvgPool2d, LocalResponseNorm
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata, build

PLAIN: dict[type[nn.Module], type[nn.Module]] = {
    Conv2d: nn.Conv2d,
    AdaptiveAvgPool2d: nn.AdaptiveAvgPool2d,
    LocalResponseNorm: nn.LocalResponseNorm,
}


def build_plain(metadata: ModelMetadata, dropout: float) -> AlexNet:
    """`alexnet.network.weights.build` with no layer whose forward or backward is the project's.

    Weights and function are the same, to rounding. Raises UserError as `build` does.
    """
    model = build(metadata, dropout)
    for layer in model.modules():
        # Its attributes are those of the PyTorch class that it derives from.
        layer.__class__ = PLAIN.get(type(layer), type(layer))
    return model
