"""What a network is made of, told by the network itself.

The layers are walked in the order in which they are registered, on PyTorch's meta
device: shapes are computed, numbers are not. Nothing about the network is written
down here a second time.
"""

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.func import functional_call

from alexnet.network.model import AlexNet


@dataclass(frozen=True)
class Layer:
    """One row of the table. Sides are in pixels; a layer without a kernel has None.

    What one value sees of the image is a square, its receptive field: value (i, j) of a map
    sees the rows from field_start + i field_stride on, receptive_field of them, and so for
    the columns. Where that reaches beyond the image it meets the layers' padding.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]  # without the batch: (C, H, W) or (features,)
    kernel: int | None
    stride: int | None
    padding: int | None
    groups: int | None
    receptive_field: int | None  # the square's side; None: the whole image, also below
    field_stride: int | None  # from the square of one value to that of its neighbour
    field_start: int | None  # the first row of value (0, 0)'s square; negative: in the padding
    parameters: int
    macs: int  # multiply-adds for one image, without biases

    @property
    def flops(self) -> int:
        """Floating-point operations for one image: a multiply-add is two."""
        return 2 * self.macs

    @property
    def field_centre(self) -> float | None:
        """The middle of value (0, 0)'s square, in pixels; the image's first pixel ends at 1."""
        if self.receptive_field is None or self.field_start is None:
            return None
        return self.field_start + self.receptive_field / 2


def summarize(model: AlexNet, image_size: int | None = None) -> list[Layer]:
    """The layers of `model` for square images of `image_size` pixels (default: the variant's own).

    Raises ValueError if the variant does not take images of that size.
    """
    size = model.image_size if image_size is None else image_size
    model.check_image_size(size, size)
    x = torch.empty(1, model.in_channels, size, size, device="meta")
    field, field_stride, start = (
        1,
        1,
        0,
    )  # the side that a value sees, to its neighbour's, the first's
    sees_all = False
    layers = []
    for name, layer in model.named_children():
        weights = {key: value.to("meta") for key, value in layer.state_dict().items()}
        input_channels = x.shape[1]
        # A copy in eval: dropout draws no random numbers, and the model stays as it is.
        x = functional_call(copy.copy(layer).eval(), weights, (x,))
        output_shape = tuple(x.shape[1:])

        kernel, stride, padding, groups = _window(layer)
        if kernel is not None and stride is not None:
            assert padding is not None
            start -= padding * field_stride
            field += (kernel - 1) * field_stride
            field_stride *= stride
        sees_all = sees_all or isinstance(layer, nn.AdaptiveAvgPool2d | nn.Flatten)

        layers.append(
            Layer(
                name=name,
                kind=_kind(layer),
                output_shape=output_shape,
                kernel=kernel,
                stride=stride,
                padding=padding,
                groups=groups,
                receptive_field=None if sees_all else field,
                field_stride=None if sees_all else field_stride,
                field_start=None if sees_all else start,
                parameters=sum(weight.numel() for weight in weights.values()),
                macs=_macs(layer, input_channels, output_shape),
            )
        )
    return layers


def totals(layers: list[Layer]) -> dict[str, int]:
    """Parameters, multiply-adds and operations of the whole network for one image."""
    return {
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
        "flops": sum(layer.flops for layer in layers),
    }


def as_dicts(layers: list[Layer]) -> list[dict[str, Any]]:
    return [asdict(layer) | {"field_centre": layer.field_centre} for layer in layers]


def num_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def training_flops(layers: list[Layer]) -> int:
    """Operations for one image, forward and backward.

    Each product is computed three times: for the output, for the gradient of the
    weights and for that of the input, which the first layer does not need.
    """
    weighted = [layer.flops for layer in layers if layer.flops]
    return 3 * sum(weighted) - weighted[0]


def _window(layer: nn.Module) -> tuple[int | None, int | None, int | None, int | None]:
    """(kernel, stride, padding, groups) of a layer that slides a square window."""
    if isinstance(layer, nn.Conv2d):
        assert isinstance(layer.padding, tuple)
        return layer.kernel_size[0], layer.stride[0], layer.padding[0], layer.groups
    if isinstance(layer, nn.MaxPool2d):
        return int(layer.kernel_size), int(layer.stride), int(layer.padding), None  # type: ignore[arg-type]
    return None, None, None, None


def _macs(layer: nn.Module, input_channels: int, output_shape: tuple[int, ...]) -> int:
    if isinstance(layer, nn.Conv2d):
        channels, height, width = output_shape
        window = input_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]
        return channels * height * width * window
    if isinstance(layer, nn.Linear):
        return layer.in_features * layer.out_features
    return 0


_KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.Linear: "fc",
    nn.ReLU: "relu",
    nn.MaxPool2d: "max pool",
    nn.AdaptiveAvgPool2d: "average pool",
    nn.LocalResponseNorm: "lrn",
    nn.Dropout: "dropout",
    nn.Flatten: "flatten",
    nn.Identity: "identity",
}


def _kind(layer: nn.Module) -> str:
    return next(kind for cls, kind in _KINDS.items() if isinstance(layer, cls))
