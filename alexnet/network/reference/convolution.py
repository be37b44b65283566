"""Convolution: the same weighted sums of the window at every place of the image."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from alexnet.network.reference.windows import fold, pad, unfold, unpad


class Convolution(Function):
    """y[n, d, place] = sum over r of weight[d, r] window[n, r, place], plus bias[d], if any.

    r runs over the C K K values of a window, so this is a matrix product: the weights'
    rows by the windows' columns. With G groups the channels are divided into G parts, each
    with a product of its own (the paper's section 3.5: one part on each of its two GPUs).
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,  #       (N, C, H, W)
        weight: Tensor,  #  (D, C/G, K, K)
        bias: Tensor | None,  # (D)
        stride: int,
        padding: int,
        groups: int,
    ) -> Tensor:
        padded = pad(x, padding, value=0.0)  #                    (N, C, H+2P, W+2P)
        windows = unfold(padded, weight.shape[-1], stride)  #     (N, C, K, K, H', W')
        num_images, (high, wide) = x.shape[0], windows.shape[-2:]
        depth = weight[0].numel()  #                              R = C/G K K

        columns = windows.reshape(num_images, groups, depth, high * wide)  # (N, G, R, H'W')
        rows = weight.reshape(groups, -1, depth)  #                          (G, D/G, R)
        y = torch.einsum("gdr,ngrp->ngdp", rows, columns)  #                 (N, G, D/G, H'W')

        ctx.save_for_backward(columns, rows)
        ctx.sizes = padded.shape, windows.shape, weight.shape, stride, padding
        y = y.reshape(num_images, -1, high, wide)  #              (N, D, H', W')
        return y if bias is None else y + bias[:, None, None]  #  (N, D, H', W')

    @staticmethod
    def backward(
        ctx: Any, y_gradient: Tensor
    ) -> tuple[Tensor | None, Tensor, Tensor | None, None, None, None]:
        columns, rows = ctx.saved_tensors
        padded_shape, windows_shape, weight_shape, stride, padding = ctx.sizes
        num_images, groups, _, places = columns.shape
        y_columns = y_gradient.reshape(num_images, groups, -1, places)  # (N, G, D/G, H'W')

        # The same weight is used at every place of every image: its gradients sum up.
        rows_gradient = torch.einsum("ngdp,ngrp->gdr", y_columns, columns)  # (G, D/G, R)
        weight_gradient = rows_gradient.reshape(weight_shape)  #              (D, C/G, K, K)
        bias_gradient = None
        if ctx.needs_input_grad[2]:
            bias_gradient = y_gradient.sum(dim=(0, 2, 3))  #                  (D)

        x_gradient = None
        if ctx.needs_input_grad[0]:  # conv1's input, the images, needs none
            columns_gradient = torch.einsum("gdr,ngdp->ngrp", rows, y_columns)  # (N, G, R, H'W')
            windows_gradient = columns_gradient.reshape(windows_shape)  #  (N, C, K, K, H', W')
            padded_gradient = fold(windows_gradient, padded_shape, stride)  # (N, C, H+2P, W+2P)
            x_gradient = unpad(padded_gradient, padding)  #                  (N, C, H, W)
        return x_gradient, weight_gradient, bias_gradient, None, None, None
