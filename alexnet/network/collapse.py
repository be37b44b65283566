"""The same network without the copies that the average pool gives to fc1.

At 32x32 pixels pool5 leaves one position, and the average pool copies each of its 256
values 36 times. The 36 weights of fc1 on the copies of one value are multiplied by the same
number, so they act as one weight, and in training they all get the same gradient:

- Inference. fc1 equals a 256 -> 4096 layer whose weight is the sum of the 36
  (`collapse_for_inference`): 21.6 M instead of 58.3 M parameters, the same logits.
- Training. Rotate each group of 36 weights so that the first axis points along
  (1, ..., 1) / 6. A value copied 36 times is 6 times that axis, and 0 on the 35 others:
  these never get a gradient and never change a logit. One weight a group is left to train,
  on a value 6 times as large (`collapse_for_training`). A rotation keeps all lengths, so the
  gradient's norm, its clipping, momentum and weight decay mean the same in both networks:
  stochastic gradient descent takes the same steps, up to rounding, with a third of the
  memory and two thirds of the operations.

`expand_pool_copies` rotates the weights back. The 35 other directions of each group are then
as they were initialised; in the full network weight decay alone would have changed them.
"""

import copy
import math

import torch
from torch import Tensor, nn

from alexnet.network.model import AlexNet
from alexnet.network.summary import summarize


class Scale(nn.Module):
    """Replaces the average pool: multiplies by the length of (1, ..., 1), sqrt(num_copies)."""

    def __init__(self, num_copies: int) -> None:
        super().__init__()
        self.length = math.sqrt(num_copies)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 1, 1) to the same shape."""
        return x * self.length


def num_copies(model: AlexNet, image_size: int) -> int:
    """The number of copies that the average pool makes of each of its inputs; 1 without a pool."""
    shapes = _pool_shapes(model, image_size)
    if shapes is None:
        return 1
    (height, width), (pooled_height, pooled_width) = shapes
    return max(1, pooled_height // height) * max(1, pooled_width // width)


def can_collapse(model: AlexNet, image_size: int) -> bool:
    """Whether fc1's inputs are copies: of one position, passed on by the layers between.

    These may be flatten and dropout. What else may stand there (a batch normalisation of
    9216 values, say) need not treat the copies alike.
    """
    shapes = _pool_shapes(model, image_size)
    if shapes is None or shapes[0] != (1, 1):
        return False
    names = list(model._modules)
    between = names[names.index("avgpool") + 1 : names.index("fc1")]
    return all(isinstance(getattr(model, name), nn.Flatten | nn.Dropout) for name in between)


def _pool_shapes(model: AlexNet, image_size: int) -> tuple[tuple[int, ...], ...] | None:
    """(height, width) before and after the average pool; None where the variant has none."""
    layers = summarize(model, image_size)
    names = [layer.name for layer in layers]
    if not isinstance(getattr(model, "avgpool", None), nn.AdaptiveAvgPool2d):
        return None
    after = names.index("avgpool")
    return layers[after - 1].output_shape[1:], layers[after].output_shape[1:]


def collapse_for_inference(model: AlexNet) -> AlexNet:
    """A network of the same logits where `can_collapse`; it shares all layers but fc1."""
    return _collapsed(model, _by_value(model).sum(dim=2), nn.Identity())


def collapse_for_training(model: AlexNet) -> AlexNet:
    """The network to train in place of `model` where `can_collapse`.

    It shares all parameters and buffers but fc1's weight. Dropout before fc1 then acts on the
    256 values before they are copied: a value is dropped with all of its copies.
    """
    weight = _by_value(model)
    scale = Scale(weight.shape[2])
    return _collapsed(model, weight.sum(dim=2) / scale.length, scale)


@torch.no_grad()
def expand_pool_copies(collapsed: AlexNet, model: AlexNet) -> None:
    """Write the fc1 trained in `collapsed` (of `collapse_for_training`) back to `model`."""
    assert isinstance(collapsed.avgpool, Scale)
    weight = _by_value(model)
    mean = collapsed.fc1.weight / collapsed.avgpool.length  # over the copies: (4096, 256)
    weight += (mean - weight.mean(dim=2))[:, :, None]


def expand_collapsed(weight: Tensor, in_features: int) -> Tensor:
    """A weight (4096, in_features) of fc1 that `collapse_for_inference` makes (4096, 256) of.

    weight: (4096, 256). Each of a value's copies gets the same share: the same logits, up to
    rounding.
    """
    copies = in_features // weight.shape[1]
    return weight.repeat_interleave(copies, dim=1) / copies


def _by_value(model: AlexNet) -> Tensor:
    """fc1's weight as (4096, 256, 36), a view: the last axis runs over a value's copies."""
    size: int | tuple[int, int] = model.get_submodule("avgpool").output_size  # type: ignore[assignment]
    copies = size**2 if isinstance(size, int) else size[0] * size[1]
    weight = model.fc1.weight.detach()
    return weight.view(weight.shape[0], -1, copies)


def _collapsed(model: AlexNet, weight: Tensor, replacement: nn.Module) -> AlexNet:
    collapsed = copy.copy(model)
    collapsed._modules = dict(model._modules)  # a shallow copy would still share this one
    out_features, in_features = weight.shape
    # Of the model's own class: the reference network collapses to reference operations.
    linear = type(model.fc1)
    fc1 = linear(in_features, out_features, device=weight.device, dtype=weight.dtype)
    fc1.weight = nn.Parameter(weight.clone())
    fc1.bias = model.fc1.bias
    collapsed.fc1 = fc1
    collapsed.avgpool = replacement
    return collapsed
