"""The network that trains, in place of the one that is written.

It shares all weights that they have in common, and has up to three differences: no copies for fc1
(`network.collapse`), only the layers behind frozen ones (`freezing`), and a batch normalisation
behind each layer but the last (`batch_norm`). At the end all three are undone.
"""

import torch
from torch import Tensor, nn

from alexnet import config
from alexnet.network.collapse import can_collapse, collapse_for_training, expand_pool_copies
from alexnet.network.freezing import TrainedPart
from alexnet.network.model import AlexNet
from alexnet.training.batch_norm import Normalised, with_batch_norm
from alexnet.training.distributed import DistributedContext


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
        """Raises UserError for a layer that cannot be normalised."""
        self.model = model
        self.collapses = params.collapse_fc1 == "auto" and can_collapse(model, image_size)
        self.whole = collapse_for_training(model) if self.collapses else model
        self.whole.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        freezes = params.freeze != "none"
        self.measured = TrainedPart(self.whole, params.freeze) if freezes else self.whole
        self.training: nn.Module = self.measured
        if params.batch_norm == "folded":
            self.training = with_batch_norm(self.measured, distributed)

    @property
    def normalised(self) -> list[str]:
        """The layers behind which a batch normalisation trains."""
        layers = self.training.named_children()
        return [name for name, layer in layers if isinstance(layer, Normalised)]

    @property
    def frozen(self) -> nn.Sequential | None:
        """The layers before those that train; None: all train."""
        return self.measured.frozen if isinstance(self.measured, TrainedPart) else None

    def take_outputs(self) -> None:
        """From now on the input is what the frozen layers give."""
        for network in (self.measured, self.training):
            assert isinstance(network, TrainedPart)
            network.takes_outputs = True

    def finish(self, weights: dict[str, Tensor]) -> None:
        """Write the result, weights of `measured`, to the model, and move it to the CPU."""
        self.measured.load_state_dict(weights)
        self.model.to("cpu")
        if self.collapses and "fc1.weight" in weights:  # a frozen one is as it was
            expand_pool_copies(self.whole.to("cpu"), self.model)
