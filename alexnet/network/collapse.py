"""The same network without the copies: what fc1 does where the average pool only copies.

At 32x32 pixels pool5 leaves one position, and the average pool copies each of its 256
values 36 times. All 36 weights of fc1 that meet the copies of a value are multiplied by
the same number, so they act as one, and in training they all get the same gradient:

- Inference. fc1 equals a 256 -> 4096 layer whose weight is the sum of the 36
  (`fold_for_inference`): 21.6 M instead of 58.3 M parameters, the same logits.
- Training. Turn the axes of each group of 36 weights so that the first points along
  (1, ..., 1) / 6. A value copied 36 times is 6 times that axis and nothing of the 35
  others: those never get a gradient and never change a logit. What is left to train is
  one weight a group on a value 6 times as large (`fold_for_training`). Turning axes
  keeps all lengths, so that the gradient's norm, its clipping, momentum and weight decay
  mean the same in both: stochastic gradient descent takes the same steps, up to rounding,
  at a third of the memory and two thirds of the operations.

`unfold` turns the axes back. The 35 other directions of each group are then as the
initialisation drew them; of the full network's steps, weight decay alone would have shrunk them.
"""

import copy
import math

import torch
from torch import Tensor, nn

from alexnet.network.model import AlexNet
from alexnet.network.summary import summarize


class Scale(nn.Module):
    """In place of the average pool: values times the length of (1, ..., 1)."""

    def __init__(self, num_copies: int) -> None:
        super().__init__()
        self.length = math.sqrt(num_copies)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, 1, 1) to the same shape."""
        return x * self.length


def num_copies(model: AlexNet, image_size: int) -> int:
    """How often fc1 sees each value of pool5: the growth of the map in the average pool."""
    shapes = {layer.name: layer.output_shape for layer in summarize(model, image_size)}
    if "avgpool" not in shapes:
        return 1
    _, height, width = shapes["pool5"]
    _, pooled_height, pooled_width = shapes["avgpool"]
    return max(1, pooled_height // height) * max(1, pooled_width // width)


def can_collapse(model: AlexNet, image_size: int) -> bool:
    """Whether pool5 leaves one position for the average pool to copy."""
    shapes = {layer.name: layer.output_shape for layer in summarize(model, image_size)}
    return "avgpool" in shapes and shapes["pool5"][1:] == (1, 1)


def collapse_for_inference(model: AlexNet) -> AlexNet:
    """A network of the same logits for inputs whose pool5 is 1x1; it shares all but fc1."""
    return _collapsed(model, _by_value(model).sum(dim=2), nn.Identity())


def collapse_for_training(model: AlexNet) -> AlexNet:
    """The network to train in place of `model`; it shares all parameters but fc1's weight.

    Dropout before fc1 then stands on the 256 values before they are copied: a value
    is dropped with all of its copies.
    """
    weight = _by_value(model)
    longer = Scale(weight.shape[2])
    return _collapsed(model, weight.sum(dim=2) / longer.length, longer)


@torch.no_grad()
def expand_pool_copies(collapsed: AlexNet, model: AlexNet) -> None:
    """Give `model` the fc1 that `folded` (made by fold_for_training) has learned."""
    assert isinstance(collapsed.avgpool, Scale)
    weight = _by_value(model)
    along = collapsed.fc1.weight / collapsed.avgpool.length  # of each of the copies: (4096, 256)
    weight += (along - weight.mean(dim=2))[:, :, None]


def _by_value(model: AlexNet) -> Tensor:
    """fc1's weight as (4096, 256, 36): the weights of each value's copies side by side."""
    height, width = model.avgpool.output_size  # type: ignore[misc, union-attr]
    weight = model.fc1.weight.detach()
    return weight.view(weight.shape[0], -1, height * width)


def _collapsed(model: AlexNet, weight: Tensor, in_place_of_pool: nn.Module) -> AlexNet:
    collapsed = copy.copy(model)
    collapsed._modules = dict(model._modules)  # a shallow copy would still share this one
    out_features, in_features = weight.shape
    # Of the model's own kind: the reference network folds to one of reference operations.
    linear = type(model.fc1)
    fc1 = linear(in_features, out_features, device=weight.device, dtype=weight.dtype)
    fc1.weight = nn.Parameter(weight.clone())
    fc1.bias = model.fc1.bias
    collapsed.fc1 = fc1
    collapsed.avgpool = in_place_of_pool
    return collapsed
