"""The wall-clock time of each layer, run by itself, forward and backward."""

import csv
import statistics
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from alexnet.errors import UserError
from alexnet.files import atomic_write, require_file
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
            given = x.detach().requires_grad_(number > 0)  # images need no gradient
            start = _now(device_config)
            with device_config.autocast():
                output: Tensor = layer(given)
            middle = _now(device_config)
            if output.requires_grad:
                wanted = [value for value in (given, *layer.parameters()) if value.requires_grad]
                torch.autograd.grad(output, wanted, torch.ones_like(output))
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


def write(path: Path, rows: list[LayerTime]) -> None:
    """Write the rows as CSV."""
    with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
        names = [field.name for field in fields(LayerTime)]
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: f"{v:.4g}" if isinstance(v, float) else v for name, v in asdict(row).items()}
            for row in rows
        )


def read(path: Path) -> list[LayerTime]:
    """The rows that `write` wrote. Raises UserError if the file is missing or no such table."""
    with require_file(path).open(newline="") as file:
        try:
            return [
                LayerTime(
                    row["layer"], float(row["forward_seconds"]), float(row["backward_seconds"])
                )
                for row in csv.DictReader(file)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} is not a table of layer times ({error}); write it again"
            ) from None
