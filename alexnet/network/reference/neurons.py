"""Linear layer, ReLU, dropout: the three operations of a fully connected layer."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


class Linear(Function):
    """Each output is a weighted sum of all inputs, plus a bias: y = x W^T + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)  # (N, in), (out, in)
        return x @ weight.T + bias  #       (N, in) (in, out) + (out) = (N, out)

    @staticmethod
    def backward(ctx: Any, y_gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        # y[n,o] = sum over i of x[n,i] W[o,i] + b[o]. So x[n,i] acts on y[n,o] with factor
        # W[o,i], W[o,i] with factor x[n,i], b[o] with 1; what acts on several y sums up.
        x_gradient = y_gradient @ weight  #    (N, out) (out, in) = (N, in)
        weight_gradient = y_gradient.T @ x  #  (out, N) (N, in) = (out, in)
        bias_gradient = y_gradient.sum(dim=0)  # (out)
        return x_gradient, weight_gradient, bias_gradient


class ReLU(Function):
    """What is negative becomes 0 (the paper's section 3.1): f(x) = max(0, x)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        passes = x > 0  # as x
        ctx.save_for_backward(passes)
        return x * passes  # as x

    @staticmethod
    def backward(ctx: Any, y_gradient: Tensor) -> Tensor:
        (passes,) = ctx.saved_tensors
        return y_gradient * passes  # as x: slope 1 where x > 0, slope 0 elsewhere


class Dropout(Function):
    """Each value is set to 0 with probability p (the paper's section 4.2, with p = 0.5).

    The others are divided by 1 - p, so that the mean stays the same and nothing needs to be
    done when not training. (The paper multiplies by 1 - p at test time instead.)
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:
        keeps = torch.empty_like(x).bernoulli_(1 - p)  # as x: 1 with probability 1 - p, else 0
        factor = keeps / (1 - p)  # as x
        ctx.save_for_backward(factor)
        return x * factor  # as x

    @staticmethod
    def backward(ctx: Any, y_gradient: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return y_gradient * factor, None  # as x; p learns nothing
