"""The exponential moving average of the network's weights and buffers."""

import torch
from torch import Tensor, nn


class ExponentialMovingAverage:
    """The exponential moving average of a network (Polyak & Juditsky, 1992).

    Each step counts `decay` times as much as the next one. The sum starts from zero, and the
    weight that is missing from it is divided out (Kingma & Ba, arXiv 1412.6980, section 3), so
    that the first steps are not drawn towards the initialisation. Floating-point buffers, such
    as the running statistics of batch normalisation, are averaged like the weights that they
    belong to; integer ones are taken as they are.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.live = network.state_dict()  # the network's own tensors, not copies
        names = [name for name, value in self.live.items() if value.is_floating_point()]
        self.sums = {name: torch.zeros_like(self.live[name]) for name in names}

    @torch.no_grad()
    def update(self) -> None:
        """Count the network's present state; call it once after each step."""
        live = [self.live[name] for name in self.sums]
        torch._foreach_lerp_(list(self.sums.values()), live, 1 - self.decay)

    def averaged(self, num_steps: int) -> dict[str, Tensor]:
        """The averaged state dict, once `update` has been called `num_steps` times."""
        total_weight = 1 - self.decay**num_steps
        return self.live | {name: total / total_weight for name, total in self.sums.items()}

    def state_dict(self) -> dict[str, Tensor]:
        return self.sums
