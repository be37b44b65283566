"""The update of the weights: stochastic gradient descent with Nesterov's momentum."""

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

    The paper's section 5 differs in two things. Its velocity contains the learning rate, which
    is the same as long as the rate is constant. And its step is the velocity v alone, where
    Nesterov's is g + momentum v, the velocity of one step later at the same gradient.
    """
    g = gradient + weight_decay * weight  # pulls each weight towards 0, in proportion
    velocity.mul_(momentum).add_(g)  #      v <- momentum v + g
    lookahead = g + momentum * velocity
    weight.sub_(learning_rate * lookahead)  # w <- w - rate (g + momentum v)
