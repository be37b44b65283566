"""The loss that is trained on and measured."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Criterion = Callable[[Tensor, Tensor], Tensor]  # (logits, targets) to the sum of the losses


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The sum of the images' losses, in float32; divided by their number, a step's loss.

    logits: (N, K); targets: int64 (N) or float32 (N, K).
    """
    return F.cross_entropy(
        logits.float(), targets, label_smoothing=label_smoothing, reduction="sum"
    )
