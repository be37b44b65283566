"""The wall-clock time of each layer, run by itself, forward and backward."""

import statistics
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet.network.model import AlexNet
from alexnet.training.device import DeviceConfig

ROUNDS = 7
LARGEST_BATCH = 128


@dataclass(frozen=True)
class LayerTime:
    """A row of the table: seconds for one image of a batch, the median of the rounds."""

    layer: str
    forward_seconds: float
    backward_seconds: float


def time_layers(
    network: AlexNet, image_size: int, batch_size: int, device_config: DeviceConfig
) -> list[LayerTime]:
    """Time the layers one by one, in the order they run, on random images.

    Where layers are compiled together, a training step takes less than their sum.
    batch_size: capped at 128 images. The network is moved to the device and stays there; its
    parameters, buffers and training modes are as before.
    """
    n = min(batch_size, LARGEST_BATCH)
    generator = torch.Generator().manual_seed(0)
    shape = (n, network.in_channels, image_size, image_size)
    x = torch.randn(shape, generator=generator).to(device_config.device)
    x = x.contiguous(memory_format=torch.channels_last)
    modes = {layer: layer.training for layer in network.modules()}
    network.to(device_config.device).train()
    # A batch normalisation changes its running mean in every forward.
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    rows = []
    for number, (name, layer) in enumerate(network.named_children()):
        forward, backward = [], []
        for _ in range(1 + ROUNDS):  # the first one warms up
            inputs = x.detach().requires_grad_(number > 0)  # images need no gradient
            start = _now(device_config)
            with device_config.autocast():
                output: Tensor = layer(inputs)
            middle = _now(device_config)
            if output.requires_grad:
                sources = [value for value in (inputs, *layer.parameters()) if value.requires_grad]
                torch.autograd.grad(output, sources, torch.ones_like(output))
            end = _now(device_config)
            forward.append((middle - start) / n)
            backward.append((end - middle) / n)
        rows.append(LayerTime(name, *(statistics.median(t[1:]) for t in (forward, backward))))
        x = output.detach()
    for buffer, before in buffers:
        buffer.copy_(before)
    for layer, mode in modes.items():
        layer.training = mode
    return rows


def _now(device_config: DeviceConfig) -> float:
    if device_config.device.type == "cuda":
        torch.cuda.synchronize(device_config.device)
    return time.perf_counter()
