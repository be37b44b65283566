"""The time of each layer, run by itself, forward and backward."""

import statistics
from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet.evaluation.timer import DeviceTimer
from alexnet.files import NotNegative
from alexnet.network.model import AlexNet
from alexnet.training.device import DeviceConfig

ROUNDS = 7
LARGEST_BATCH_ON_CPU = 128  # images; more take as long each, and no batch fills a CPU better
# About a millisecond, in which the host launches a layer's forward and backward: the layer's
# kernels then run one after the other, and its time holds no waiting for the host.
LAUNCH_CYCLES = 2_000_000


@dataclass(frozen=True)
class LayerTime:
    """A row of the table: seconds for one image of a batch, the median of the rounds."""

    layer: str
    forward_seconds: NotNegative
    backward_seconds: NotNegative


def time_layers(
    network: AlexNet, image_size: int, batch_size: int, device_config: DeviceConfig
) -> list[LayerTime]:
    """Time the layers one by one, in the order they run, on random images.

    Where layers are compiled together, a training step takes less than their sum.
    batch_size: on a CPU capped at 128 images. On a GPU it is what it is, since small batches do
    not fill it; a layer at a time needs less memory than a training step. The network is moved to
    the device and stays there; its parameters, buffers and training modes are as before.
    """
    device = device_config.device
    n = min(batch_size, LARGEST_BATCH_ON_CPU) if device.type == "cpu" else batch_size
    generator = torch.Generator().manual_seed(0)
    shape = (n, network.in_channels, image_size, image_size)
    x = torch.randn(shape, generator=generator).to(device)
    x = x.contiguous(memory_format=torch.channels_last)
    modes = {layer: layer.training for layer in network.modules()}
    network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    # A batch normalisation changes its running mean in every forward.
    buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
    rows = []
    for number, (name, layer) in enumerate(network.named_children()):
        seconds = []  # (forward, backward) of each round
        for _ in range(1 + ROUNDS):  # the first one warms up
            timer = DeviceTimer(device)
            inputs = x.detach().requires_grad_(number > 0)  # images need no gradient
            if device.type == "cuda":
                torch.cuda._sleep(LAUNCH_CYCLES)
            timer.mark()
            with device_config.autocast():
                output: Tensor = layer(inputs)
            timer.mark()
            gradient = torch.ones_like(output)
            timer.mark()
            if output.requires_grad:
                sources = [value for value in (inputs, *layer.parameters()) if value.requires_grad]
                torch.autograd.grad(output, sources, gradient)
            timer.mark()
            forward, _, backward = timer.seconds()
            seconds.append((forward, backward))
        medians = [statistics.median(taken) / n for taken in zip(*seconds[1:], strict=True)]
        rows.append(LayerTime(name, *medians))
        x = output.detach()
    for buffer, before in buffers:
        buffer.copy_(before)
    for layer, mode in modes.items():
        layer.training = mode
    return rows
