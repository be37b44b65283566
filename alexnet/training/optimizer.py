"""The optimizer, the learning rate of each step, and gradient clipping."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from alexnet import config
from alexnet.network.collapse import Scale
from alexnet.network.model import AlexNet
from alexnet.training.muon import Muon


def build_optimizer(
    network: AlexNet, num_copies: int, params: config.Train, dtype: torch.dtype
) -> Muon:
    """SGD with momentum for all parameters, or Muon for the convolutions' and fc1's weights.

    Where the average pool copies each value (36 times at 32x32), the weights on the
    copies all get the same gradient and act as their sum, so that under SGD fc1 would
    learn 36 times as fast as the rate says: its rate is divided by the number of copies.
    Muon's steps do not depend on the gradient's size. fc2's matrix is so large that its
    products would take most of the step, and fc3 is the output: both stay with SGD.
    """
    convolutions = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    fc1 = network.fc1.weight
    muon_rate = params.muon_lr
    apart = {id(parameter) for parameter in [*(convolutions if muon_rate else []), fc1]}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in apart]
    groups: list[dict[str, Any]] = [
        {"params": rest, "max_lr": params.learning_rate, "use_muon": False}
    ]
    if muon_rate:
        collapsed = isinstance(getattr(network, "avgpool", None), Scale)
        for parameters, copies in ((convolutions, 1), ([fc1], 1 if collapsed else num_copies)):
            groups.append(
                {
                    "params": parameters,
                    "max_lr": muon_rate,
                    "use_muon": True,
                    "num_copies": copies,
                    "muon_momentum": params.momentum,
                    "momentum": 0.0,
                    "nesterov": False,
                    "weight_decay": params.muon_weight_decay,
                }
            )
    else:
        peak = params.learning_rate / num_copies
        groups.append({"params": [fc1], "max_lr": peak, "use_muon": False})
    optimizer = Muon(
        groups,
        lr=params.learning_rate,
        momentum=params.momentum,
        nesterov=params.nesterov,
        weight_decay=params.weight_decay,
        fused=True,
    )
    optimizer.dtype = dtype
    for group in optimizer.param_groups:
        if fc1.is_cuda:  # a recorded step reads its rate from the GPU, where it can be changed
            group["lr"] = torch.tensor(group["lr"], device=fc1.device)
        for parameter in group["params"]:  # there from the start, so that checkpoints have them
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
    return optimizer


def set_learning_rate(
    optimizer: torch.optim.Optimizer, step: int, num_steps: int, params: config.Train
) -> None:
    """Give each group of parameters its rate for step 0 .. num_steps - 1."""
    share = schedule(step, num_steps, params)
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(share * group["max_lr"])
        else:
            group["lr"] = share * group["max_lr"]


def schedule(step: int, num_steps: int, params: config.Train) -> float:
    """The share of its peak that the rate has at step 0 .. num_steps - 1.

    Warm-up (Goyal et al., arXiv 1706.02677) takes the first `warmup_fraction` of all
    steps; the fall is `linear` or `cosine` (Loshchilov & Hutter, arXiv 1608.03983)
    to zero just after the last step, or none (`constant`).
    """
    warmup_steps = round(num_steps * params.warmup_fraction)
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / (num_steps - warmup_steps)  # 0 .. 1
    match params.schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1 - progress
        case "cosine":
            return (1 + math.cos(math.pi * progress)) / 2


def clip_gradient(optimizer: torch.optim.Optimizer, params: config.Train) -> None:
    """Shorten the gradient to at most `clip_norm` (Pascanu et al., arXiv 1211.5063).

    The first gradients of a fresh network are ten times as long as later ones; at a
    rate that suits the later ones they would throw the weights far off. Muon's steps
    have a length of their own.
    """
    if params.clip_norm is not None:
        groups = [group for group in optimizer.param_groups if not group["use_muon"]]
        parameters = [parameter for group in groups for parameter in group["params"]]
        nn.utils.clip_grad_norm_(parameters, params.clip_norm)
