"""The step that the weights take: stochastic gradient descent with Nesterov's momentum."""

import torch
from torch import Tensor


@torch.no_grad()
def nesterov_step(
    weight: Tensor,
    gradient: Tensor,
    velocity: Tensor,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
) -> None:
    """Change `weight` and its `velocity`, both in place; all three tensors have one shape.

    As torch.optim.SGD has it (Sutskever, Martens, Dahl, Hinton: On the importance of
    initialization and momentum in deep learning. ICML 2013). `velocity` starts at 0.

    The paper's section 5 differs in two things. It has the rate inside the velocity, which is
    the same as long as the rate stays; and it steps by the velocity v alone, where Nesterov
    looks ahead to where v is about to lead, g + momentum v.
    """
    g = gradient + weight_decay * weight  # a small pull towards 0, in proportion to the weight
    velocity.mul_(momentum).add_(g)  #      v <- momentum v + g
    ahead = g + momentum * velocity
    weight.sub_(learning_rate * ahead)  #   w <- w - rate (g + momentum v)
