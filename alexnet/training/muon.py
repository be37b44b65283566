"""Muon: gradient descent whose steps move every direction of a layer's matrix equally far.

A few directions dominate the gradient of a layer, as a matrix; the others learn slowly. Muon
(Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks"; Liu et al.,
arXiv 2502.16982) replaces the momentum G = U S V^T by U V^T, the nearest matrix whose singular
values are all 1. The Newton-Schulz iteration finds it with matrix products alone.

`torch.optim.Muon` takes matrices alone; this one takes kernels, and the copies that fc1 sees.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

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


def group_by_size(sizes: Sequence[tuple[int, int]], max_padding: float) -> list[list[int]]:
    """Which matrices (rows, columns) to orthogonalise together, filled up to the largest.

    A group computes at most `max_padding` times the operations that its matrices need.
    """

    def operations(rows: int, columns: int) -> int:  # of one round, a common factor left out
        return 2 * rows**2 * columns + rows**3

    groups: list[list[int]] = []
    for index in sorted(range(len(sizes)), key=lambda index: operations(*sizes[index])):
        joined = [*groups[-1], index] if groups else [index]
        members = [sizes[member] for member in joined]
        padded = operations(*(max(side) for side in zip(*members, strict=True)))
        needed = sum(operations(*size) for size in members)
        if groups and len(joined) * padded <= max_padding * needed:
            groups[-1] = joined
        else:
            groups.append([index])
    return groups


class Muon(torch.optim.SGD):
    """SGD, whose parameter groups with `use_muon` take Muon's step.

    Such a group has an SGD momentum of 0; `muon_momentum` is Nesterov's. A kernel
    (out, in, k, k) is a matrix (out, in k k). The columns of `num_copies` copies of a value
    count as one. dtype: of the products. max_padding: of `group_by_size`. On a GPU a few large
    products are faster than many small ones; on a CPU the number of operations decides.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        dtype: torch.dtype = torch.float32,
        muon_momentum: float = 0.9,
        max_padding: float = 1.0,
        **sgd: Any,
    ) -> None:
        super().__init__(groups, **sgd)
        self.dtype, self.muon_momentum = dtype, muon_momentum
        parameters: list[Tensor] = []
        scales: list[float] = []
        for group in self.param_groups:
            for parameter in group["params"] if group["use_muon"] else ():
                rows, columns = _matrix_shape(parameter)
                parameters.append(parameter)
                # The step should change outputs equally whatever the shape of the layer.
                scales.append(max(1.0, rows / columns * group["num_copies"]) ** 0.5)
        sizes = [(min(shape), max(shape)) for shape in map(_matrix_shape, parameters)]
        self.batches = [
            ([parameters[index] for index in indices], [scales[index] for index in indices])
            for indices in group_by_size(sizes, max_padding)
        ]

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for parameters, scales in self.batches:
            self._orthogonalise_gradients(parameters, scales)
        super().step(closure)

    def _orthogonalise_gradients(self, parameters: list[Tensor], scales: list[float]) -> None:
        """Replace the parameters' gradients by their steps, in place."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        averages = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_mul_(averages, self.muon_momentum)
        torch._foreach_add_(averages, gradients)
        torch._foreach_add_(gradients, averages, alpha=self.muon_momentum)  # Nesterov's lookahead

        shapes = [_matrix_shape(gradient) for gradient in gradients]
        rows, columns = max(map(min, shapes)), max(map(max, shapes))
        device = gradients[0].device
        x = torch.zeros(len(gradients), rows, columns, dtype=self.dtype, device=device)
        for matrix, gradient in zip(x, gradients, strict=True):
            _in_shape_of(gradient, matrix).copy_(gradient)
        for matrix, gradient in zip(orthogonalise(x), gradients, strict=True):
            gradient.copy_(_in_shape_of(gradient, matrix))
        torch._foreach_mul_(gradients, scales)


def _matrix_shape(parameter: Tensor) -> tuple[int, int]:
    return parameter.shape[0], parameter[0].numel()


def _in_shape_of(parameter: Tensor, matrix: Tensor) -> Tensor:
    """The corner of a wide matrix that a parameter fills, in its shape: a view."""
    rows, columns = _matrix_shape(parameter)
    corner = matrix[:columns, :rows].T if rows > columns else matrix[:rows, :columns]
    return corner.unflatten(1, parameter.shape[1:])
