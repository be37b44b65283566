"""Linear layer, ReLU, dropout: the three operations of a fully connected layer."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function


class Linear(Function):
    """Each output is a weighted sum of all inputs, plus a bias if there is one: y = x W^T + b."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)  # (N, in), (out, in)
        y = x @ weight.T  #                 (N, in) (in, out) = (N, out)
        return y if bias is None else y + bias

    @staticmethod
    def backward(ctx: Any, y_gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        # y[n,o] = sum over i of x[n,i] W[o,i] + b[o]. So dy[n,o]/dx[n,i] = W[o,i],
        # dy[n,o]/dW[o,i] = x[n,i], dy[n,o]/db[o] = 1; contributions of several y add up.
        x_gradient = y_gradient @ weight  #    (N, out) (out, in) = (N, in)
        weight_gradient = y_gradient.T @ x  #  (out, N) (N, in) = (out, in)
        bias_gradient = y_gradient.sum(dim=0) if ctx.needs_input_grad[2] else None  # (out)
        return x_gradient, weight_gradient, bias_gradient


class ReLU(Function):
    """f(x) = max(0, x): negative values become 0 (the paper's section 3.1)."""

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

    The others are divided by 1 - p, which keeps the mean, so that inference needs no
    correction. (The paper multiplies by 1 - p at test time instead.)
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
        return y_gradient * factor, None  # as x; p has no gradient
