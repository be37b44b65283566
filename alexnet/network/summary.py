"""The layer table: shapes, receptive fields, parameters and operations of each layer.

Derived from the network itself: its layers are walked in the order in which they are
registered, on PyTorch's meta device, which computes shapes and no numbers. Nothing about
the network is written down here a second time.
"""

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from alexnet.errors import UserError
from alexnet.network.model import AlexNet

# Every kind of layer that this module can describe. A new kind is added here, and, if it
# slides a window or multiplies, in `window_of` or `_macs`.
KINDS: dict[type[nn.Module], str] = {
    nn.Conv2d: "conv",
    nn.Linear: "fc",
    nn.ReLU: "relu",
    nn.MaxPool2d: "max pool",
    nn.AdaptiveAvgPool2d: "average pool",
    nn.LocalResponseNorm: "lrn",
    nn.BatchNorm1d: "batch norm",
    nn.BatchNorm2d: "batch norm",
    nn.Dropout: "dropout",
    nn.Flatten: "flatten",
    nn.Identity: "identity",
}


@dataclass(frozen=True)
class Layer:
    """One row of the table. Sides are in pixels; a layer without a kernel has None.

    The receptive field of a value is the square of the image that it depends on. Value (i, j)
    of a map depends on `receptive_field` rows, from row
    `receptive_field_start + i * receptive_field_stride` on; columns likewise. Rows outside
    the image are the layers' padding.
    """

    name: str
    kind: str  # one of KINDS
    output_shape: tuple[int, ...]  # without the batch: (C, H, W) or (features,)
    kernel: int | None
    stride: int | None
    padding: int | None
    groups: int | None
    receptive_field: int | None  # side of the square; None: the whole image, also below
    receptive_field_stride: int | None  # from the square of one value to its neighbour's
    receptive_field_start: int | None  # first row of value (0, 0)'s square; negative: padding
    parameters: int
    macs: int  # multiply-adds of convolutions and products for one image, without biases
    frozen: bool = False  # it has parameters, and none of them trains

    @property
    def flops(self) -> int:
        """Floating-point operations for one image: a multiply-add is two."""
        return 2 * self.macs

    @property
    def receptive_field_centre(self) -> float | None:
        """The middle of value (0, 0)'s square, in pixels; the image's first pixel ends at 1."""
        if self.receptive_field is None or self.receptive_field_start is None:
            return None
        return self.receptive_field_start + self.receptive_field / 2


def summarize(model: AlexNet, image_size: int | None = None) -> list[Layer]:
    """The layers of `model` for square images of `image_size` pixels (default: the variant's own).

    Raises ValueError if the variant does not take images of that size, and UserError, which
    names the layer, for a kind of layer that is not in KINDS.
    """
    size = model.image_size if image_size is None else image_size
    model.check_image_size(size, size)
    x = torch.empty(1, model.in_channels, size, size, device="meta")
    field, field_stride, start = 1, 1, 0  # of a pixel
    is_whole_image = False
    layers = []
    for name, layer in model.named_children():
        kind = _kind(name, layer)
        input_channels = x.shape[1]
        # A copy in eval: dropout draws no random numbers, and the model stays as it is.
        x = functional_call(copy.copy(layer).eval(), tensors_on(layer, "meta"), (x,))
        output_shape = tuple(x.shape[1:])

        kernel, stride, padding, groups = window_of(name, layer)
        if kernel is not None and stride is not None:
            assert padding is not None
            start -= padding * field_stride
            field += (kernel - 1) * field_stride
            field_stride *= stride
        is_whole_image = is_whole_image or isinstance(layer, nn.AdaptiveAvgPool2d | nn.Flatten)

        layers.append(
            Layer(
                name=name,
                kind=kind,
                output_shape=output_shape,
                kernel=kernel,
                stride=stride,
                padding=padding,
                groups=groups,
                receptive_field=None if is_whole_image else field,
                receptive_field_stride=None if is_whole_image else field_stride,
                receptive_field_start=None if is_whole_image else start,
                parameters=num_parameters(layer),
                macs=_macs(layer, input_channels, output_shape),
                frozen=is_frozen(layer),
            )
        )
    return layers


def tensors_on(layer: nn.Module, device: str) -> dict[str, Tensor]:
    """The layer's parameters and buffers by name, of undefined values on `device`.

    Parameters require a gradient if the layer's do; buffers, such as the running mean of a
    batch normalisation, do not.
    """
    tensors = [*layer.named_parameters(), *layer.named_buffers()]
    return {
        name: torch.empty_like(value, device=device).requires_grad_(value.requires_grad)
        for name, value in tensors
    }


def totals(layers: list[Layer]) -> dict[str, int]:
    """Parameters, multiply-adds and operations of the whole network for one image."""
    return {
        "parameters": sum(layer.parameters for layer in layers),
        "macs": sum(layer.macs for layer in layers),
        "flops": sum(layer.flops for layer in layers),
    }


def as_dicts(layers: list[Layer]) -> list[dict[str, Any]]:
    """The rows for JSON."""
    return [
        asdict(layer) | {"receptive_field_centre": layer.receptive_field_centre} for layer in layers
    ]


def num_parameters(model: nn.Module) -> int:
    """The number of parameters; buffers are not counted."""
    return sum(parameter.numel() for parameter in model.parameters())


def is_frozen(layer: nn.Module) -> bool:
    """Whether a layer has parameters of which none trains."""
    trains = [parameter.requires_grad for parameter in layer.parameters()]
    return bool(trains) and not any(trains)


def training_flops(layers: list[Layer]) -> int:
    """Operations for one image, forward and backward.

    Each product is computed three times: for the output, for the gradient of the
    weights and for that of the input, which the first layer does not need. Frozen layers,
    which come first, are computed forward alone.
    """
    weighted = [layer for layer in layers if layer.flops]
    trained = [layer.flops for layer in weighted if not layer.frozen]
    return sum(layer.flops for layer in weighted) + 2 * sum(trained) - trained[0]


def _kind(name: str, layer: nn.Module) -> str:
    for cls, kind in KINDS.items():
        if isinstance(layer, cls):
            return kind
    raise UserError(
        f"layer {name} ({type(layer).__name__}): no kind for it; add it to summary.KINDS"
    )


def window_of(name: str, layer: nn.Module) -> tuple[int | None, int | None, int | None, int | None]:
    """(kernel, stride, padding, groups) of a layer that slides a square window.

    Raises UserError for a window that is not square or dilated: `Layer` has one number for
    both directions.
    """
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d):
        return None, None, None, None
    numbers = []
    for key in ("kernel_size", "stride", "padding", "dilation"):
        value = getattr(layer, key)
        sides = {value} if isinstance(value, int | str) else set(value)
        if len(sides) > 1 or isinstance(value, str) or (key == "dilation" and sides != {1}):
            raise UserError(
                f"layer {name} ({type(layer).__name__}): {key} {value}; the summary takes square "
                "windows, given in numbers, without dilation"
            )
        numbers.append(sides.pop())
    kernel, stride, padding = map(int, numbers[:3])
    return kernel, stride, padding, layer.groups if isinstance(layer, nn.Conv2d) else None


def _macs(layer: nn.Module, input_channels: int, output_shape: tuple[int, ...]) -> int:
    if isinstance(layer, nn.Conv2d):
        channels, height, width = output_shape
        window = input_channels // layer.groups * layer.kernel_size[0] * layer.kernel_size[1]
        return channels * height * width * window
    if isinstance(layer, nn.Linear):
        return layer.in_features * layer.out_features
    return 0
