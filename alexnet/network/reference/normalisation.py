"""Local response normalisation: large activations in neighbouring channels reduce a value."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


class LocalResponseNormalisation(Function):
    """The paper's section 3.3. Of the activations a at a place, channel i becomes

        b[i] = a[i] / s[i]^beta    where    s[i] = k + alpha * (sum over near j of a[j]^2)

    where j runs over the n channels around i that exist. `alpha` is the paper's; that of
    PyTorch's LocalResponseNorm is n times as large, since it divides by n.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, n: int, alpha: float, beta: float, k: float) -> Tensor:
        near = neighbours(n, a)  #                          (C, C)
        squares = a.square().flatten(2)  #                  (N, C, HW)
        sums = (near @ squares).reshape(a.shape)  #         (N, C, H, W)
        s = k + alpha * sums  #                             (N, C, H, W)
        ctx.save_for_backward(a, s, near)
        ctx.constants = alpha, beta
        return a / s**beta  #                               (N, C, H, W)

    @staticmethod
    def backward(ctx: Any, b_gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        a, s, near = ctx.saved_tensors
        alpha, beta = ctx.constants
        # a[i] is the numerator of b[i], with factor 1 / s[i]^beta ...
        as_numerator = b_gradient / s**beta  #              (N, C, H, W)
        # ... and a term of each s[j] near it, with d s[j] / d a[i] = 2 alpha a[i], where
        # d b[j] / d s[j] = -beta a[j] / s[j]^(beta + 1).
        s_gradient = -beta * b_gradient * a / s ** (beta + 1)  # (N, C, H, W)
        counted = near.T @ s_gradient.flatten(2)  #         (C, C) (N, C, HW) = (N, C, HW)
        as_neighbour = 2 * alpha * a * counted.reshape(a.shape)  # (N, C, H, W)
        return as_numerator + as_neighbour, None, None, None, None


def neighbours(n: int, a: Tensor) -> Tensor:
    """(C, C): row i has a 1 for each of the n channels around i, from i - n // 2 on."""
    channel = torch.arange(a.shape[1], device=a.device)
    distance = channel[None, :] - channel[:, None]  # (C, C): from i to j
    return ((distance >= -(n // 2)) & (distance <= (n - 1) // 2)).to(a.dtype)
