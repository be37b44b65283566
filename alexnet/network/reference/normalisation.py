"""Normalisation: over neighbouring channels, as in the paper, or over the batch."""

from collections.abc import Callable
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


class BatchNormalisation(Function):
    """Ioffe & Szegedy, arXiv 1502.03167. Of the M values x of a channel, in all images and places,

        y = scale x^ + shift    where    x^ = (x - m) / s    and    s = sqrt(v + eps)

    with their mean m and variance v. Where several processes share a batch, `total` returns the
    sum of a tensor over all of them, else the tensor. Computed in float32 at least.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,  #      (N, C, ...)
        scale: Tensor,  #  (C)
        shift: Tensor,  #  (C)
        eps: float,
        total: Callable[[Tensor], Tensor],
    ) -> Tensor:
        by_channel = (0, *range(2, x.dim()))  # the dimensions that are summed
        full = x.to(torch.promote_types(x.dtype, torch.float32))
        count = full.new_full((1,), x.numel() / x.shape[1])
        sums = total(torch.cat([full.sum(by_channel), count]))  #      (C + 1)
        count = sums[-1]  #                                            M
        centred = full - _spread(sums[:-1] / count, x)  #              (N, C, ...)
        v = total(centred.square().sum(by_channel)) / count  #         (C)
        s = (v + eps).sqrt()  #                                        (C)
        normalised = centred / _spread(s, x)  #                        (N, C, ...)
        ctx.save_for_backward(normalised, scale, s, count)
        ctx.total = total
        return (normalised * _spread(scale, x) + _spread(shift, x)).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, y_gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        normalised, scale, s, count = ctx.saved_tensors
        by_channel = (0, *range(2, normalised.dim()))
        full = y_gradient.to(normalised.dtype)  #                      (N, C, ...)
        shift_gradient = full.sum(by_channel)  #                       (C)
        scale_gradient = (full * normalised).sum(by_channel)  #        (C)
        # Each x also moves m, by 1 / M, and v, by 2 (x - m) / M, and with them all y of the
        # channel: what the gradient has in common with 1 and with x^ changes nothing.
        means = ctx.total(torch.stack([shift_gradient, scale_gradient])) / count  # (2, C)
        common = _spread(means[0], full) + normalised * _spread(means[1], full)
        x_gradient = _spread(scale / s, full) * (full - common)  #     (N, C, ...)
        return x_gradient.to(y_gradient.dtype), scale_gradient, shift_gradient, None, None


def _spread(values: Tensor, x: Tensor) -> Tensor:
    """(C) to (C, 1, ...), which is combined with x (N, C, ...)."""
    return values.view(-1, *[1] * (x.dim() - 2))
