"""Muon: gradient descent whose steps move every direction of a layer's matrix equally far.

A few directions dominate the gradient of a layer, as a matrix; the others learn slowly. Muon
(Jordan et al., 2024, "Muon: an optimizer for hidden layers in neural networks"; Liu et al.,
arXiv 2502.16982) replaces the momentum G = U S V^T by U V^T, the nearest matrix whose singular
values are all 1. The Newton-Schulz iteration finds it with matrix products alone.

`torch.optim.Muon` takes matrices alone; this one takes kernels, and the copies that fc1 sees.
"""

from typing import Any

import torch
from torch import Tensor

# X <- a X + (b X X^T + c (X X^T)^2) X moves every singular value in (0, 1] towards 1, to
# within 0.3, in five rounds; the coefficients are Jordan's, chosen for speed near 0.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NUM_ROUNDS = 5


def orthogonalise(matrix: Tensor) -> Tensor:
    """The matrix (rows, columns) with all singular values moved to about 1."""
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)  # now no singular value is above 1
    a, b, c = COEFFICIENTS
    for _ in range(NUM_ROUNDS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.SGD):
    """SGD, whose parameter groups with `use_muon` take Muon's step.

    Such a group has an SGD momentum of 0; `muon_momentum` is Nesterov's. A kernel
    (out, in, k, k) is a matrix (out, in k k). The columns of `num_copies` copies of a value
    count as one. `dtype` is the type of the products.
    """

    dtype = torch.float32

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            if group["use_muon"]:
                for parameter in group["params"]:
                    self._orthogonal_gradient(parameter, group)
        super().step(closure)

    def _orthogonal_gradient(self, parameter: Tensor, group: dict[str, Any]) -> None:
        """Replace the gradient of a parameter by its step, in place."""
        assert parameter.grad is not None
        momentum = group["muon_momentum"]
        average = self.state[parameter]["momentum_buffer"]
        average.mul_(momentum).add_(parameter.grad)
        lookahead = parameter.grad.add(average, alpha=momentum).flatten(1)
        rows, columns = lookahead.shape
        # The step should change outputs equally whatever the shape of the layer.
        scale = max(1.0, rows / columns * group["num_copies"]) ** 0.5
        step = orthogonalise(lookahead.to(self.dtype)).to(lookahead.dtype) * scale
        parameter.grad.copy_(step.view_as(parameter))
