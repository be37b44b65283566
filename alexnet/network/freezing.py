"""Frozen layers: those before the first one that trains.

They compute as in evaluation, without dropout and without gradients, and their weights stay as
they are to the last bit: no step, no weight decay, no average and no batch normalisation reaches
them.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from alexnet.errors import UserError
from alexnet.network.model import AlexNet
from alexnet.network.summary import is_frozen

FIRST_TRAINED = {"features": "fc1", "all_but_last": "fc3"}  # by train.freeze


class TrainedPart(nn.Sequential):
    """The layers of a network from the first that trains on, and a dropout just before it.

    The frozen layers before them are called, and are none of its modules: their weights are not
    in its state, and `train()` does not reach their dropout. It shares all layers with the network.
    """

    def __init__(self, network: AlexNet, freeze: str) -> None:
        """freeze: a key of FIRST_TRAINED. Raises UserError if the network has no such layer."""
        layers = list(network.named_children())
        names = [name for name, _ in layers]
        if FIRST_TRAINED[freeze] not in names:
            raise UserError(
                f"train.freeze: {freeze} freezes what is before {FIRST_TRAINED[freeze]}, which the "
                f"variant {network.variant} does not have; set it to none"
            )
        first = names.index(FIRST_TRAINED[freeze])
        while isinstance(layers[first - 1][1], nn.Dropout):
            first -= 1
        super().__init__(OrderedDict(layers[first:]))
        frozen = nn.Sequential(OrderedDict(layers[:first])).requires_grad_(False).eval()
        self._frozen = (frozen,)  # a tuple hides it from nn.Module
        self.takes_outputs = False  # its input is what the frozen layers give, not images

    @property
    def frozen(self) -> nn.Sequential:
        return self._frozen[0]

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, C, H, W), normalised, or the frozen layers' outputs, to (N, num_classes)."""
        if not self.takes_outputs:
            with torch.no_grad():
                x = self.frozen(x)
        return super().forward(x)


def frozen_layers(network: nn.Module) -> list[str]:
    """The names of the frozen layers with weights, in their order."""
    return [name for name, layer in network.named_children() if is_frozen(layer)]
