"""Stochastic gradient descent, and the learning rate of each step."""

import math

import torch
from torch import nn

from alexnet import config
from alexnet.describe import describe
from alexnet.model import AlexNet


def sgd(model: AlexNet, image_size: int, params: config.Train) -> torch.optim.SGD:
    """SGD with (Nesterov's) momentum, with a rate of its own for fc1.

    Where the average pool copies each value (36 times at 32x32), the weights on the
    copies all get the same gradient and act as their sum, so that fc1 would learn 36
    times as fast as the rate says. Its rate is divided by the number of copies.
    """
    fc1 = model.fc1.weight
    others = [parameter for parameter in model.parameters() if parameter is not fc1]
    return torch.optim.SGD(
        [
            {"params": others, "rate": 1.0},
            {"params": [fc1], "rate": 1 / num_copies(model, image_size)},
        ],
        lr=params.learning_rate,
        momentum=params.momentum,
        nesterov=params.nesterov,
        weight_decay=params.weight_decay,
        fused=True,
    )


def num_copies(model: AlexNet, image_size: int) -> int:
    """How often fc1 sees each value of pool5: the growth of the map in the average pool."""
    shapes = {layer.name: layer.output_shape for layer in describe(model, image_size)}
    if "avgpool" not in shapes:
        return 1
    _, height, width = shapes["pool5"]
    _, pooled_height, pooled_width = shapes["avgpool"]
    return max(1, pooled_height // height) * max(1, pooled_width // width)


def set_learning_rate(
    optimizer: torch.optim.Optimizer, step: int, num_steps: int, params: config.Train
) -> None:
    """Give each group of parameters its rate for step 0 .. num_steps - 1."""
    base = learning_rate(
        step, num_steps, params.learning_rate, params.warmup_fraction, params.schedule
    )
    for group in optimizer.param_groups:
        group["lr"] = base * group["rate"]


def clip_gradient(model: AlexNet, params: config.Train) -> None:
    """Shorten the gradient to at most `clip_norm` (Pascanu et al., arXiv 1211.5063).

    The first gradients of a fresh network are ten times as long as later ones; at a
    rate that suits the later ones they would throw the weights far off.
    """
    if params.clip_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), params.clip_norm)


def learning_rate(
    step: int, num_steps: int, peak: float, warmup_fraction: float, shape: str
) -> float:
    """The rate of step 0 .. num_steps - 1: rises linearly to `peak`, then falls.

    Warm-up (Goyal et al., arXiv 1706.02677) takes the first `warmup_fraction` of all
    steps; the fall is `linear` or `cosine` (Loshchilov & Hutter, arXiv 1608.03983)
    to zero just after the last step, or none (`constant`).
    """
    warmup_steps = round(num_steps * warmup_fraction)
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (num_steps - warmup_steps)  # 0 .. 1
    match shape:
        case "constant":
            return peak
        case "linear":
            return peak * (1 - progress)
        case "cosine":
            return peak * (1 + math.cos(math.pi * progress)) / 2
    raise ValueError(f"unknown schedule {shape!r}")
