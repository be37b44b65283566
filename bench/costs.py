"""The operations that the training loops compute, and the device's peak."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from alexnet import config
from alexnet.evaluation.timer import DeviceTimer
from alexnet.network.collapse import (
    can_collapse,
    collapse_for_inference,
    collapse_for_training,
    num_copies,
)
from alexnet.network.summary import summarize, training_flops
from alexnet.network.weights import ModelMetadata, build
from alexnet.training.device import DeviceConfig
from alexnet.training.optimizer import build_optimizer
from bench.loops import Loop
from bench.measure import run_in_subprocess

MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}  # of the product that gives the device's peak
NUM_PRODUCTS = 20


@dataclass(frozen=True)
class Cost:
    """The operations of a loop, and the device's peak."""

    precision: str
    flops_per_image_as_written: int  # of the network, forward and backward
    flops_per_image_done: int  # of the network that computes: without fc1's copies, in ours
    flops_per_step_of_optimizer: int
    peak_flops_per_second: float  # of a large matrix product in that precision

    def at(self, images_per_second: float, batch_size: int) -> dict[str, Any]:
        """These numbers with the operations a second."""
        per_image = self.flops_per_image_done + self.flops_per_step_of_optimizer / batch_size
        return asdict(self) | {
            "flops_per_second_as_written": images_per_second * self.flops_per_image_as_written,
            "flops_per_second_done": images_per_second * per_image,
            "share_of_peak": images_per_second * per_image / self.peak_flops_per_second,
        }


def costs(
    metadata: ModelMetadata, params: config.Train, device_config: DeviceConfig
) -> dict[Loop, Cost]:
    """The cost of each loop, by name."""
    as_written = network_flops(metadata, collapsed=False)
    done = network_flops(metadata, trains_collapsed(metadata, params))
    in_optimizer = run_in_subprocess(optimizer_flops, metadata, params, device_config.dtype)
    peaks = {
        dtype: run_in_subprocess(product_peak, device_config.device, dtype)
        for dtype in {torch.float32, device_config.dtype}
    }

    def cost(dtype: torch.dtype, per_image: int, per_step: int) -> Cost:
        precision = str(dtype).removeprefix("torch.")
        return Cost(precision, as_written, per_image, per_step, peaks[dtype])

    return {
        "tutorial": cost(torch.float32, as_written, 0),
        "expert": cost(device_config.dtype, as_written, 0),
        "ours": cost(device_config.dtype, done, in_optimizer),
    }


def network_flops(metadata: ModelMetadata, collapsed: bool) -> int:
    """Operations for one image, forward and backward, with or without fc1's copies."""
    with torch.device("meta"):
        model = build(metadata, dropout=0.0)
    network = collapse_for_inference(model) if collapsed else model
    return training_flops(summarize(network, metadata.image_size))


def trains_collapsed(metadata: ModelMetadata, params: config.Train) -> bool:
    """Whether our training removes fc1's copies."""
    with torch.device("meta"):
        model = build(metadata, dropout=0.0)
    return params.collapse_fc1 == "auto" and can_collapse(model, metadata.image_size)


def optimizer_flops(metadata: ModelMetadata, params: config.Train, dtype: torch.dtype) -> int:
    """Operations of the matrix products in one step of our optimizer, counted during a step."""
    model = build(metadata, dropout=0.0)
    network = collapse_for_training(model) if trains_collapsed(metadata, params) else model
    copies = num_copies(model, metadata.image_size)
    optimizer = build_optimizer(network, copies, params, dtype)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with FlopCounterMode(display=False) as counter:
        optimizer.step()
    return counter.get_total_flops()


def product_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second in the product of two large square matrices: the best of several."""
    side = MATRIX_SIDE[device.type]
    a, b = torch.randn(2, side, side, device=device).to(dtype)
    product = torch.empty_like(a)
    timer = DeviceTimer(device)
    timer.mark()
    for _ in range(NUM_PRODUCTS):
        torch.mm(a, b, out=product)
        timer.mark()
    return 2 * side**3 / min(timer.seconds())
