"""The network that trains, in place of the one that is written.

It shares all weights that they have in common, and has up to three differences: no copies for fc1
(`network.collapse`), only the layers behind frozen ones (`freezing`), and a batch normalisation
behind each layer but the last (`batch_norm`). At the end all three are undone.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from alexnet import config
from alexnet.errors import UserError
from alexnet.network.collapse import can_collapse, collapse_for_training, expand_pool_copies
from alexnet.network.freezing import TrainedPart, frozen_layers
from alexnet.network.model import AlexNet
from alexnet.training.batch_norm import Normalised, match_outputs, statistics, with_batch_norm
from alexnet.training.distributed import DistributedContext
from alexnet.training.loader import Split, kept_outputs

# Of a network, with weights in place of its own, on a batch of a split's images.
Forward = Callable[[nn.Module, dict[str, Tensor], Tensor], Tensor]


class Networks:
    """A run's networks.

    model: as it is written; the result is in its weights. whole: the same, or without fc1's copies.
    measured: the part of `whole` that trains, all of it unless layers are frozen. training:
    `measured`, or the same with batch normalisation.
    """

    def __init__(
        self,
        model: AlexNet,
        image_size: int,
        params: config.Train,
        device: torch.device,
        distributed: DistributedContext,
    ) -> None:
        """Raises UserError for layers that cannot be normalised, or not be divided."""
        self.model, self.distributed = model, distributed
        self.collapses = params.collapse_fc1 == "auto" and can_collapse(model, image_size)
        self.whole = collapse_for_training(model) if self.collapses else model
        self.measured: AlexNet | TrainedPart = self.whole
        if params.freeze != "none":
            self.measured = self._divide(params.freeze, image_size)
        self.whole.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.keeps_outputs = False  # of the frozen layers, in the images' place
        self.training: nn.Module = self.measured
        if params.batch_norm == "folded":
            self.training = with_batch_norm(self.measured, distributed)

    def _divide(self, freeze: str, image_size: int) -> TrainedPart:
        """The part of `whole` behind its frozen layers, which compute with it what `whole` does."""
        part = TrainedPart(self.whole, freeze)
        for name in frozen_layers(part.frozen):
            self.model.get_submodule(name).requires_grad_(False)
        x = torch.linspace(-1, 1, self.model.in_channels * image_size**2)
        x = x.view(1, -1, image_size, image_size).to(next(part.parameters()).device)
        with torch.no_grad():
            whole, parts = (network.eval()(x) for network in (self.whole, part))
        if not parts.allclose(whole, rtol=1e-3, atol=1e-4):
            raise UserError(
                f"train.freeze: {freeze}: the variant {self.model.variant} does more than to apply "
                "its layers in order, and so cannot be divided into two parts; set it to none"
            )
        return part

    @property
    def normalised(self) -> list[str]:
        """The layers behind which a batch normalisation trains."""
        layers = self.training.named_children()
        return [name for name, layer in layers if isinstance(layer, Normalised)]

    @property
    def frozen(self) -> nn.Sequential | None:
        """The layers before those that train; None: all train."""
        return self.measured.frozen if isinstance(self.measured, TrainedPart) else None

    def keep_outputs(
        self, forward: Forward, splits: Sequence[Split], batch_size: int
    ) -> Sequence[Split]:
        """What the frozen layers give, in the images' place, unless it is too much.

        It is then the input of the networks. Without frozen layers, the splits stay as they are.
        """
        if not self.frozen:
            return splits
        number = self.distributed.world_size
        kept = kept_outputs(partial(forward, self.frozen, {}), splits, batch_size, number)
        if kept is None:
            return splits
        self.keeps_outputs = True
        for network in (self.measured, self.training):
            assert isinstance(network, TrainedPart)
            network.takes_outputs = True
        return kept

    def match_parent(self, forward: Forward, images: Tensor, batch_size: int) -> None:
        """Let `training` begin with the outputs of `measured`: the normalisation is undone."""
        layers = {name: self.measured.get_submodule(name) for name in self.normalised}
        if layers:
            measure = partial(forward, self.measured, {})
            arguments = layers, measure, images, batch_size, self.distributed
            match_outputs(self.training, statistics(self.measured, *arguments))

    def finish(self, weights: dict[str, Tensor]) -> None:
        """Write the result, weights of `measured`, to the model, and move it to the CPU."""
        self.measured.load_state_dict(weights)
        self.model.to("cpu")
        if self.collapses and "fc1.weight" in weights:  # a frozen one is as it was
            expand_pool_copies(self.whole.to("cpu"), self.model)
