"""Mean loss and accuracy, summed where they are computed so that no step waits for the host."""

from collections.abc import Sequence

import torch
from torch import Tensor

from alexnet.errors import UserError

# Exact for whole numbers up to 2**53.
LOSS, CORRECT, FINITE_STEPS, COUNT = range(4)


class RunningMetrics:
    """Sums over the images of an epoch, or of one process's share of it."""

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(4, dtype=torch.float64, device=device)

    def reset(self) -> None:
        self.sums.zero_()

    def add(self, logits: Tensor, labels: Tensor, loss_sum: Tensor) -> None:
        """logits (N, K) and labels (N) of a batch, and the sum of its losses."""
        correct = (logits.detach().argmax(dim=1) == labels).sum()
        # Once a loss is not finite the sum stays so: this counts the steps before it.
        finite = torch.isfinite(self.sums[LOSS] + loss_sum.detach())
        self.sums[LOSS] += loss_sum.detach()
        self.sums[CORRECT] += correct
        self.sums[FINITE_STEPS] += finite
        self.sums[COUNT] += len(labels)


def loss_and_accuracy(sums: Sequence[float]) -> tuple[float, float]:
    """(mean loss, accuracy) of the four sums, of one process or added over several."""
    return sums[LOSS] / sums[COUNT], sums[CORRECT] / sums[COUNT]


def check_finite(sums: Tensor, first_step: int) -> None:
    """Raises UserError that names the step at which the loss stopped being finite.

    sums: (world_size, 4), of each process: where one diverges the others soon follow.
    """
    if not bool(sums[:, LOSS].isfinite().all()):
        step = first_step + int(sums[:, FINITE_STEPS].min())
        raise UserError(
            f"the loss is not finite at step {step}: training has diverged and nothing was "
            "saved; lower train.learning_rate or raise train.warmup_fraction"
        )
