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

# X <- a X + (b X X^T + c (X X^T)^2) X moves every singular value in (0, 1] towards 1, to
# within 0.3, in five rounds; the coefficients are Jordan's, chosen for speed near 0.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NUM_ROUNDS = 5


def orthogonalise(matrices: Tensor) -> Tensor:
    """The matrices (M, rows, columns), rows <= columns, with all singular values near 1.

    Rows and columns of zeros stay zeros, so that smaller matrices can be filled up with them.
    """
    a, b, c = COEFFICIENTS
    x = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)  # no singular value above 1
    for _ in range(NUM_ROUNDS):
        gram = x @ x.mT  #                                           (M, rows, rows)
        gram = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, gram, x, beta=a)  #                     (M, rows, columns)
    return x


def group_by_size(
    sizes: Sequence[tuple[int, int]], max_groups: int | None = None
) -> list[list[int]]:
    """Which matrices (rows, columns) to orthogonalise together, filled up to the largest.

    At most `max_groups`, with the fewest operations in all; None: only equal sizes, unfilled.
    """

    def operations(members: Sequence[int]) -> int:  # of one round, a common factor left out
        rows, columns = (max(sizes[member][side] for member in members) for side in (0, 1))
        return len(members) * (2 * rows**2 * columns + rows**3)

    def split(cuts: Sequence[int]) -> list[list[int]]:
        return [order[start:end] for start, end in pairwise([0, *cuts, len(order)]) if start < end]

    order = sorted(range(len(sizes)), key=lambda index: (operations([index]), sizes[index]))
    cuts = [i for i in range(1, len(order)) if sizes[order[i]] != sizes[order[i - 1]]]
    if max_groups is None:
        return split(cuts)
    splits = (split(chosen) for k in range(max_groups) for chosen in combinations(cuts, k))
    return min(splits, key=lambda groups: sum(map(operations, groups)))


class MatrixBatch(NamedTuple):
    """Weights that are orthogonalised together, and the factor of each one's step."""

    weights: list[Tensor]
    scales: list[float]
    group: dict[str, Any]


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
        self.dtype, self.clip_norm = dtype, clip_norm
        self.batches: list[MatrixBatch] = []
        for group in self.param_groups:
            for parameter in group["params"]:  # from the start, so that every checkpoint has it
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
            if group["use_muon"]:
                self.batches += matrix_batches(group, max_groups)
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
        self, weights: list[Tensor], scales: list[float], group: dict[str, Any]
    ) -> None:
        gradients = [as_matrix(w.grad, like=w) for w in weights if w.grad is not None]
        averages = [as_matrix(self.state[w]["momentum_buffer"], like=w) for w in weights]
        matrices = [as_matrix(weight, like=weight) for weight in weights]
        momentum = group["momentum"]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        torch._foreach_lerp_(gradients, averages, momentum)  # Nesterov's lookahead

        shapes = [matrix.shape for matrix in matrices]
        rows, columns = max(map(min, shapes)), max(map(max, shapes))
        x = torch.zeros(len(shapes), rows, columns, dtype=self.dtype, device=weights[0].device)
        for filled, gradient in zip(x, gradients, strict=True):
            corner(filled, gradient.shape).copy_(gradient)
        x = orthogonalise(x)
        rate = torch.as_tensor(group["lr"], dtype=weights[0].dtype, device=weights[0].device)
        torch._foreach_mul_(matrices, 1 - rate * group["weight_decay"])
        for filled, matrix, scale in zip(x, matrices, scales, strict=True):
            matrix.addcmul_(corner(filled, matrix.shape), rate, value=-scale)


def matrix_batches(group: dict[str, Any], max_groups: int | None) -> list[MatrixBatch]:
    """The batches of a parameter group."""
    weights = group["params"]
    shapes = [as_matrix(weight, like=weight).shape for weight in weights]
    # The step should change outputs equally whatever the shape of the layer.
    scales = [
        max(1.0, rows / columns * copies) ** 0.5
        for (rows, columns), copies in zip(shapes, group["num_copies"], strict=True)
    ]
    sizes = [(min(shape), max(shape)) for shape in shapes]
    return [
        MatrixBatch([weights[i] for i in members], [scales[i] for i in members], group)
        for members in group_by_size(sizes, max_groups)
    ]


def as_matrix(tensor: Tensor, like: Tensor) -> Tensor:
    """A weight, or its gradient or momentum, as (out, columns): a view, no copy.

    The columns are in the order in which the weight `like` lies in memory.
    """
    tensor = tensor.detach()
    if like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last):
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.view(len(tensor), -1)


def corner(wide: Tensor, shape: torch.Size) -> Tensor:
    """The part of a wide matrix that one of this shape fills, which may be tall: a view."""
    rows, columns = shape
    return wide[:columns, :rows].T if rows > columns else wide[:rows, :columns]
