"""Muon: gradient descent whose steps move every direction of a layer's matrix equally far.

A few directions dominate the gradient of a layer, as a matrix; the others learn slowly. Muon
(Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks"; Liu et al.,
arXiv 2502.16982) replaces the momentum G = U S V^T by U V^T, the nearest matrix whose singular
values are all 1. The Newton-Schulz iteration finds it with matrix products alone.

`torch.optim.Muon` takes matrices alone; this one takes kernels, and the copies that fc1 sees.
"""

from collections.abc import Sequence
from functools import partial
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from alexnet.training.device import run_concurrently

# X <- (a I + b G + c G^2) X with G = X X^T moves every singular value in (0, 1] towards 1, to
# within 0.3, in five rounds; the coefficients are Jordan's, chosen for speed near 0.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)

# Several rounds on one G, which is much smaller than X, take half of the operations. Its rounding
# errors grow with each: five rounds on one G were ten times less exact than on five. With 8 bits, G
# loses the squares of the small singular values at once.
ROUNDS_BFLOAT16 = (1, 1, 1, 1, 1)
ROUNDS = (3, 2)


def orthogonalise(matrices: Tensor) -> Tensor:
    """The matrices (M, rows, columns) with all singular values near 1.

    Rows and columns of zeros stay zeros, so that smaller matrices can be filled up with them.
    """
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)  # no singular value above 1
    is_tall = x.shape[1] > x.shape[2]
    for num_rounds in ROUNDS_BFLOAT16 if x.dtype == torch.bfloat16 else ROUNDS:
        gram = gram_matrix(x)
        factor = product = polynomial(gram)
        for _ in range(num_rounds - 1):
            gram = factor @ gram @ factor
            factor = polynomial(gram)
            product = factor @ product
        x = x @ product if is_tall else product @ x
    return x


def gram_matrix(x: Tensor) -> Tensor:
    """G = X X^T, or X^T X if that is smaller: (M, side, side)."""
    return x.mT @ x if x.shape[1] > x.shape[2] else x @ x.mT


def polynomial(gram: Tensor) -> Tensor:
    """a I + b G + c G^2."""
    a, b, c = COEFFICIENTS
    result = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    result.diagonal(dim1=1, dim2=2).add_(a)
    return result


def group_by_size(
    sizes: Sequence[tuple[int, int]], max_groups: int | None = None
) -> list[list[int]]:
    """Which matrices (rows, columns) to orthogonalise together, filled up to the largest.

    Wide and tall ones apart, each in at most `max_groups`, with the fewest operations in all; None:
    only equal sizes, unfilled.
    """

    def operations(members: Sequence[int]) -> int:  # of one round, a common factor left out
        shape = [max(sizes[member][side] for member in members) for side in (0, 1)]
        return len(members) * (2 * min(shape) ** 2 * max(shape) + min(shape) ** 3)

    def split(order: list[int], cuts: Sequence[int]) -> list[list[int]]:
        return [order[start:end] for start, end in pairwise([0, *cuts, len(order)]) if start < end]

    groups = []
    by_operations = sorted(range(len(sizes)), key=lambda i: (operations([i]), sizes[i]))
    for is_tall in (False, True):
        order = [i for i in by_operations if (sizes[i][0] > sizes[i][1]) == is_tall]
        cuts = [i for i in range(1, len(order)) if sizes[order[i]] != sizes[order[i - 1]]]
        numbers = [len(cuts)] if max_groups is None else range(max_groups)
        splits = [split(order, chosen) for k in numbers for chosen in combinations(cuts, k)]
        groups += min(splits, key=lambda groups: sum(map(operations, groups)))
    return groups


class MatrixBatch(NamedTuple):
    """Weights that are orthogonalised together, and the factor of each one's step."""

    weights: list[Tensor]
    scales: list[float]
    group: dict[str, Any]
    filled: Tensor  # (M, rows, columns): memory for them, zeros where one is smaller


class Muon(torch.optim.Optimizer):
    """Muon's steps for the parameter groups with `use_muon`, SGD's for the others.

    A kernel (out, in, k, k) is a matrix (out, in k k). A group's `num_copies` says of each weight
    how many copies of a value its columns see: they count as one. Muon's momentum is Nesterov's.
    dtype: of the products. max_groups: of `group_by_size`. clip_norm: the largest norm of SGD's
    gradients together (Pascanu et al., arXiv 1211.5063), or None. The first gradients of a fresh
    network are ten times as long as later ones; at a rate that suits the later ones they would
    throw the weights far off. Muon's steps need no clipping.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        *,
        dtype: torch.dtype = torch.float32,
        max_groups: int | None = None,
        clip_norm: float | None = None,
        **defaults: Any,
    ) -> None:
        super().__init__(groups, {"nesterov": True, "weight_decay": 0.0, **defaults})
        self.clip_norm = clip_norm
        self.batches: list[MatrixBatch] = []
        for group in self.param_groups:
            for parameter in group["params"]:  # from the start, so that every checkpoint has it
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
            if group["use_muon"]:
                self.batches += matrix_batches(group, max_groups, dtype)
        uses_gpu = self.param_groups[0]["params"][0].is_cuda
        self.streams = [torch.cuda.Stream() for _ in self.batches] if uses_gpu else []

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Muon's matrix products do not fill a GPU, and SGD waits for its memory: both at once."""
        tasks = [partial(self._step_by_muon, *batch) for batch in self.batches]
        run_concurrently([*tasks, self._step_by_sgd], self.streams)

    def _step_by_sgd(self) -> None:
        groups = [group for group in self.param_groups if not group["use_muon"]]
        if self.clip_norm is not None:
            parameters = [parameter for group in groups for parameter in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        for group in groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            sgd(
                parameters,
                [parameter.grad for parameter in parameters],
                [self.state[parameter]["momentum_buffer"] for parameter in parameters],
                fused=True,
                weight_decay=group["weight_decay"],
                momentum=group["momentum"],
                lr=group["lr"],
                dampening=0.0,
                nesterov=group["nesterov"],
                maximize=False,
            )

    def _step_by_muon(
        self, weights: list[Tensor], scales: list[float], group: dict[str, Any], filled: Tensor
    ) -> None:
        # One tensor at a time: a `foreach` operation on a few of them uses a part of a GPU alone.
        # (On an H200 a step's 12 interpolations take 73 us, as four `foreach` calls 134 us.)
        momentum = group["momentum"]
        for weight, part in zip(weights, filled, strict=True):
            assert weight.grad is not None
            gradient = as_matrix(weight.grad, like=weight)
            average = as_matrix(self.state[weight]["momentum_buffer"], like=weight)
            average.lerp_(gradient, 1 - momentum)
            gradient.lerp_(average, momentum)  # Nesterov's lookahead
            corner(part, gradient.shape).copy_(gradient)
        x = orthogonalise(filled)
        rate = torch.as_tensor(group["lr"], dtype=weights[0].dtype, device=weights[0].device)
        kept = 1 - rate * group["weight_decay"]
        for weight, part, scale in zip(weights, x, scales, strict=True):
            matrix = as_matrix(weight, like=weight)
            matrix.mul_(kept).addcmul_(corner(part, matrix.shape), rate, value=-scale)


def matrix_batches(
    group: dict[str, Any], max_groups: int | None, dtype: torch.dtype
) -> list[MatrixBatch]:
    """The batches of a parameter group."""
    weights = group["params"]
    sizes = [(len(weight), weight[0].numel()) for weight in weights]
    # The step should change outputs equally whatever the shape of the layer.
    scales = [
        max(1.0, rows / columns * copies) ** 0.5
        for (rows, columns), copies in zip(sizes, group["num_copies"], strict=True)
    ]
    batches = []
    for members in group_by_size(sizes, max_groups):
        rows, columns = (max(sizes[i][side] for i in members) for side in (0, 1))
        filled = weights[0].new_zeros(len(members), rows, columns, dtype=dtype)
        parts = [weights[i] for i in members], [scales[i] for i in members]
        batches.append(MatrixBatch(*parts, group, filled))
    return batches


def as_matrix(tensor: Tensor, like: Tensor) -> Tensor:
    """A weight, or its gradient or momentum, as (out, columns): a view, no copy.

    The columns are in the order in which the weight `like` lies in memory.
    """
    tensor = tensor.detach()
    if like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last):
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.view(len(tensor), -1)


def corner(filled: Tensor, shape: torch.Size) -> Tensor:
    """The part of a matrix that one of this shape fills: a view."""
    rows, columns = shape
    return filled[:rows, :columns]
