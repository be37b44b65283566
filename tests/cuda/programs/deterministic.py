"""`deterministic`: forward and backward of every variant, with deterministic kernels alone.

Raises RuntimeError where one is not; prints what ran, and the error for PyTorch's own layers.
"""

import json

import torch
from torch import nn

from alexnet.errors import UserError
from alexnet.network.collapse import can_collapse, collapse_for_training
from alexnet.network.model import VARIANTS
from alexnet.training.device import DeviceConfig, configure_torch, nondeterminism_as_user_error
from tests.cuda.null_gpu import device  # noqa: F401 (before CUDA is used)

# Besides the variants' own: pool5 leaves 2x2, 3x3 and 7x7 positions, which the average pool takes.
OTHER_SIZES = {"cifar": [48, 64], "one-weird-trick": [255]}
EAGER = DeviceConfig(torch.device("cuda:0"), torch.float32)
COMPILED = DeviceConfig(torch.device("cuda:0"), torch.bfloat16)


def step(network: nn.Module, size: int, device_config: DeviceConfig, *, compiled: bool) -> None:
    network.to(device_config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    forward = torch.compile(network, dynamic=False) if compiled else network
    with device_config.autocast():
        logits = forward(torch.randn(2, 3, size, size, device=device_config.device))
    logits.float().sum().backward()


def check() -> list[str]:
    ran = []
    for variant, cls in VARIANTS.items():
        for size in (cls.image_size, *OTHER_SIZES.get(variant, [])):
            networks = {"": cls(10)}
            if can_collapse(networks[""], size):
                networks[" collapsed"] = collapse_for_training(cls(10))
            for name, network in networks.items():
                step(network, size, EAGER, compiled=False)
                if size == cls.image_size:
                    step(network, size, COMPILED, compiled=True)
                ran.append(f"{variant}{name} {size}")
    return ran


def error_of(layer: nn.Module) -> str:
    x = torch.randn(2, 3, 7, 7, device="cuda:0", requires_grad=True)
    try:
        with nondeterminism_as_user_error():
            layer(x).sum().backward()
    except UserError as error:
        return str(error)
    return ""


configure_torch(deterministic=True)
errors = [error_of(layer) for layer in (nn.AdaptiveAvgPool2d(6), nn.LocalResponseNorm(5))]
print(json.dumps({"ran": check(), "errors": errors}))
