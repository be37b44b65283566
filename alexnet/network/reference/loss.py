"""Softmax and cross-entropy: minus the log probability of the true class."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


class CrossEntropy(Function):
    """The loss of each image: -(sum over classes of t log p), for p = softmax(logits).

    The target t is 1 for the image's class and 0 for the others. Label smoothing (Szegedy et
    al., arXiv 1512.00567, section 7) spreads a share of it evenly over all classes.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        num_classes = logits.shape[1]
        classes = torch.arange(num_classes, device=labels.device)  # (classes)
        is_label = (labels[:, None] == classes).to(logits.dtype)  #  (N, classes)
        target = (1 - smoothing) * is_label + smoothing / num_classes  # (N, classes)

        # log p = logit - log(sum of e^logits). Subtracting the largest logit leaves p as it
        # is, and keeps e^logits from overflowing.
        shifted = logits - logits.max(dim=1, keepdim=True).values  # (N, classes)
        total = shifted.exp().sum(dim=1, keepdim=True)  #            (N, 1)
        log_p = shifted - total.log()  #                             (N, classes)

        ctx.save_for_backward(log_p, target)
        return -(target * log_p).sum(dim=1)  #                       (N)

    @staticmethod
    def backward(ctx: Any, loss_gradient: Tensor) -> tuple[Tensor, None, None]:
        log_p, target = ctx.saved_tensors
        # d log p[c] / d logit[k] = [c = k] - p[k], and t sums to 1: the gradient is p - t.
        return loss_gradient[:, None] * (log_p.exp() - target), None, None  # (N, classes)
