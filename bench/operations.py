"""How many operations the loops take, and how many the device could do."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from alexnet import config
from alexnet.network.collapse import (
    can_collapse,
    collapse_for_inference,
    collapse_for_training,
    num_copies,
)
from alexnet.network.summary import summarize, training_flops
from alexnet.network.weights import ModelMetadata, build
from alexnet.training import optimizer
from alexnet.training.device import DeviceConfig
from bench.clock import now
from bench.process import run_in_subprocess

SIDE = {"cpu": 2048, "cuda": 8192}  # of the matrices whose product is timed
NUM_PRODUCTS = 20


@dataclass(frozen=True)
class WorkPerImage:
    """What a loop computes, and how fast the device could do it."""

    precision: str
    flops_per_image_as_written: int  # of the network, forward and backward
    flops_per_image_done: int  # the same for the network that really computes
    flops_per_step_of_optimizer: int
    peak_flops_per_second: float  # in a large product of that precision

    def at(self, images_per_second: float, batch_size: int) -> dict[str, Any]:
        """With what that makes in a second."""
        per_image = self.flops_per_image_done + self.flops_per_step_of_optimizer / batch_size
        return asdict(self) | {
            "flops_per_second_as_written": images_per_second * self.flops_per_image_as_written,
            "flops_per_second_done": images_per_second * per_image,
            "share_of_peak": images_per_second * per_image / self.peak_flops_per_second,
        }


def work(
    metadata: ModelMetadata, params: config.Train, device_config: DeviceConfig
) -> dict[str, WorkPerImage]:
    """Of both loops, by name."""
    as_written = network_flops(metadata, folded=False)
    done = network_flops(metadata, collapses(metadata, params))
    in_optimizer = run_in_subprocess(optimizer_flops, metadata, params)

    def one(precision: torch.dtype, per_image: int, per_step: int) -> WorkPerImage:
        name = str(precision).removeprefix("torch.")
        peak = run_in_subprocess(product_peak, device_config.device, precision)
        return WorkPerImage(name, as_written, per_image, per_step, peak)

    return {
        "tutorial": one(torch.float32, as_written, 0),
        "ours": one(device_config.dtype, done, in_optimizer),
    }


def network_flops(metadata: ModelMetadata, folded: bool) -> int:
    """Operations for one image, forward and backward, of the network as written or folded."""
    with torch.device("meta"):
        model = build(metadata, dropout=0.0)
    return training_flops(
        summarize(collapse_for_inference(model) if folded else model, metadata.image_size)
    )


def collapses(metadata: ModelMetadata, params: config.Train) -> bool:
    """Whether ours trains without fc1's copies."""
    with torch.device("meta"):
        return params.collapse_fc1 == "auto" and can_collapse(
            build(metadata, dropout=0.0), metadata.image_size
        )


def optimizer_flops(metadata: ModelMetadata, params: config.Train) -> int:
    """Operations of the products in one step of our optimizer, counted while it takes one."""
    model = build(metadata, dropout=0.0)
    network = collapse_for_training(model) if collapses(metadata, params) else model
    taking = optimizer.build_optimizer(
        network, num_copies(model, metadata.image_size), params, torch.float32
    )
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    with FlopCounterMode(display=False) as counter:
        taking.step()
    return counter.get_total_flops()


def product_peak(device: torch.device, precision: torch.dtype) -> float:
    """Operations a second in the product of two large square matrices: the best of several."""
    side = SIDE[device.type]
    a, b = torch.randn(2, side, side, device=device).to(precision)
    product = torch.empty_like(a)
    fastest = float("inf")
    for _ in range(NUM_PRODUCTS):
        start = now(device)
        torch.mm(a, b, out=product)
        fastest = min(fastest, now(device) - start)
    return 2 * side**3 / fastest
