"""The optimizer, and the learning rate of each step."""

import math
from collections.abc import Collection, Container, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from alexnet import config
from alexnet.network.collapse import Scale
from alexnet.training.batch_norm import BatchNorm
from alexnet.training.muon import Muon

# Of wide matrices, and of tall ones. On a GPU a few large products are faster than many small ones,
# on a CPU the number of operations decides. (On an H200, Muon's step for the default network's
# matrices took 418 us as six batches at the same time, 444 us as one, 357 us as three.)
MAX_GROUPS = {"cpu": None, "cuda": 2}


def build_optimizer(
    network: nn.Module,
    num_copies: int,
    params: config.Train,
    dtype: torch.dtype,
    *,
    frozen: Iterable[nn.Module] = (),
    fresh_layers: Collection[str] = (),
) -> Muon:
    """SGD with momentum, or Muon for the weights of the convolutions and fc1, SGD for the rest.

    The average pool copies each value `num_copies` times (36 at 32x32). The weights on the
    copies get the same gradient and act as their sum, so that under SGD fc1 would learn 36
    times as fast: its learning rate is divided by the number of copies. Muon's steps do not
    depend on the gradient's size. fc2 and fc3 stay with SGD: fc2's matrix is so large that its
    products would take most of a step, and fc3 is the output. So does fc1 where it sees more than
    one position of a map, as at 224x224: its matrix is then even larger. dtype: of Muon's products.

    frozen: the layers before the network's, which are none of its own. fresh_layers: by name, those
    whose rates `params.pretrained_lr_scale` does not scale.
    """
    layers = [*frozen, *network.modules()]
    convolutions = [layer.weight for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    fc1 = dict(network.named_parameters()).get("fc1.weight")  # None: it is frozen
    norms = [layer for layer in network.modules() if isinstance(layer, BatchNorm)]
    undecayed = [parameter for norm in norms for parameter in norm.parameters()]
    copies_by_weight: dict[Tensor, int] = {}  # of Muon's weights
    if params.muon_lr:
        copies_by_weight = dict.fromkeys(convolutions, 1)
        is_collapsed = any(isinstance(layer, Scale) for layer in layers)
        copies_of_fc1 = 1 if is_collapsed else num_copies
        *_, num_maps = (layer.out_channels for layer in layers if isinstance(layer, nn.Conv2d))
        if fc1 is not None and fc1.shape[1] == num_maps * copies_of_fc1:
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
    if fc1 is not None and fc1 not in copies_by_weight:
        max_lr = params.learning_rate / num_copies
        groups.append({"params": [fc1], "max_lr": max_lr, "use_muon": False})
    if undecayed:  # decay would pull the normalised values themselves to 0, and nothing balances it
        max_lr = params.learning_rate
        groups.append(
            {"params": undecayed, "max_lr": max_lr, "use_muon": False, "weight_decay": 0.0}
        )
    if params.pretrained_lr_scale != 1:
        pretrained = {
            parameter
            for name, parameter in network.named_parameters()
            if name.partition(".")[0] not in fresh_layers
        }
        scale = params.pretrained_lr_scale
        groups = [part for group in groups for part in _by_origin(group, pretrained, scale)]
    device = next(network.parameters()).device
    optimizer = Muon(
        groups,
        dtype=dtype,
        max_groups=MAX_GROUPS[device.type],
        clip_norm=params.clip_norm,
        lr=params.learning_rate,
        momentum=params.momentum,
        nesterov=params.nesterov,
        weight_decay=params.weight_decay,
    )
    if device.type == "cuda":  # a CUDA graph reads its rate from there, where it can be changed
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(group["lr"], device=device)
    return optimizer


def _by_origin(
    group: dict[str, Any], pretrained: Container[Tensor], scale: float
) -> Iterator[dict[str, Any]]:
    """A group as up to two: its pretrained parameters, at `scale` of its rate, and the others.

    Muon's is never split: what starts anew is fc3.
    """
    for wanted, factor in ((True, scale), (False, 1.0)):
        if params := [each for each in group["params"] if (each in pretrained) == wanted]:
            yield group | {"params": params, "max_lr": factor * group["max_lr"]}


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
