"""The optimizer, and the learning rate of each step."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from alexnet import config
from alexnet.network.collapse import Scale
from alexnet.network.model import AlexNet
from alexnet.training.batch_norm import BatchNorm
from alexnet.training.muon import Muon

# Of wide matrices, and of tall ones. On a GPU a few large products are faster than many small ones,
# on a CPU the number of operations decides. (On an H200, Muon's step for the default network's
# matrices took 418 us as six batches at the same time, 444 us as one, 357 us as three.)
MAX_GROUPS = {"cpu": None, "cuda": 2}


def build_optimizer(
    network: AlexNet, num_copies: int, params: config.Train, dtype: torch.dtype
) -> Muon:
    """SGD with momentum, or Muon for the weights of the convolutions and fc1, SGD for the rest.

    The average pool copies each value `num_copies` times (36 at 32x32). The weights on the
    copies get the same gradient and act as their sum, so that under SGD fc1 would learn 36
    times as fast: its learning rate is divided by the number of copies. Muon's steps do not
    depend on the gradient's size. fc2 and fc3 stay with SGD: fc2's matrix is so large that its
    products would take most of a step, and fc3 is the output. So does fc1 where it sees more than
    one position of a map, as at 224x224: its matrix is then even larger. dtype: of Muon's products.
    """
    convolutions = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    fc1 = network.fc1.weight
    norms = [layer for layer in network.modules() if isinstance(layer, BatchNorm)]
    undecayed = [parameter for norm in norms for parameter in norm.parameters()]
    copies_by_weight: dict[Tensor, int] = {}  # of Muon's weights
    if params.muon_lr:
        copies_by_weight = dict.fromkeys(convolutions, 1)
        is_collapsed = isinstance(getattr(network, "avgpool", None), Scale)
        copies_of_fc1 = 1 if is_collapsed else num_copies
        if fc1.shape[1] == len(convolutions[-1]) * copies_of_fc1:
            copies_by_weight[fc1] = copies_of_fc1
    apart = {fc1, *copies_by_weight, *undecayed}
    rest = [parameter for parameter in network.parameters() if parameter not in apart]
    groups: list[dict[str, Any]] = [
        {"params": rest, "max_lr": params.learning_rate, "use_muon": False}
    ]
    if copies_by_weight:
        groups.append(
            {
                "params": list(copies_by_weight),
                "max_lr": params.muon_lr,
                "use_muon": True,
                "num_copies": list(copies_by_weight.values()),
                "weight_decay": params.muon_weight_decay,
            }
        )
    if fc1 not in copies_by_weight:
        max_lr = params.learning_rate / num_copies
        groups.append({"params": [fc1], "max_lr": max_lr, "use_muon": False})
    if undecayed:  # decay would pull the normalised values themselves to 0, and nothing balances it
        max_lr = params.learning_rate
        groups.append(
            {"params": undecayed, "max_lr": max_lr, "use_muon": False, "weight_decay": 0.0}
        )
    optimizer = Muon(
        groups,
        dtype=dtype,
        max_groups=MAX_GROUPS[fc1.device.type],
        clip_norm=params.clip_norm,
        lr=params.learning_rate,
        momentum=params.momentum,
        nesterov=params.nesterov,
        weight_decay=params.weight_decay,
    )
    if fc1.is_cuda:  # a CUDA graph reads its rate from the GPU, where it can be changed
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(group["lr"], device=fc1.device)
    return optimizer


def set_learning_rate(
    optimizer: torch.optim.Optimizer, step: int, num_steps: int, params: config.Train
) -> None:
    """Set each parameter group's learning rate for step 0 .. num_steps - 1."""
    factor = schedule(step, num_steps, params)
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(factor * group["max_lr"])
        else:
            group["lr"] = factor * group["max_lr"]


def schedule(step: int, num_steps: int, params: config.Train) -> float:
    """The learning rate at step 0 .. num_steps - 1, as a factor of its maximum.

    It rises linearly in the first `warmup_fraction` of all steps (Goyal et al., arXiv
    1706.02677). Then it falls to zero just after the last step, `linear` or `cosine`
    (Loshchilov & Hutter, arXiv 1608.03983), or stays `constant`.
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
