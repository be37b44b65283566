"""The two training loops by the clock, the operations they compute, and the device's peak.

Each measurement runs in a process of its own: the peak of memory would hide every later one,
and neither loop can help or hinder the other.
"""

import contextlib
import itertools
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from alexnet import config
from alexnet.data.dataset import load_split
from alexnet.evaluation.timer import DeviceTimer
from alexnet.network.collapse import (
    can_collapse,
    collapse_for_inference,
    collapse_for_training,
    num_copies,
)
from alexnet.network.model import AlexNet
from alexnet.network.summary import summarize, training_flops
from alexnet.network.weights import ModelMetadata, build
from alexnet.training.cuda_graph import NUM_WARM_UP
from alexnet.training.device import DeviceConfig, configure_torch, oom_as_user_error
from alexnet.training.distributed import DistributedContext
from alexnet.training.history import LayerEpoch
from alexnet.training.layer_monitor import LayerMonitor
from alexnet.training.loader import Batch, Split
from alexnet.training.optimizer import build_optimizer
from alexnet.training.trainer import StepFn, Trainer
from bench.measure import (
    WARM_UP_STEPS,
    Budget,
    StepTimer,
    StopMeasuring,
    now,
    peak_memory,
    run_in_subprocess,
)
from bench.plain import build_plain

MONITORED_EPOCHS = 3  # in one measurement of `epoch_seconds`, after one of warm-up
MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}  # of the product that gives the device's peak
NUM_PRODUCTS = 20


@dataclass(frozen=True)
class Context:
    """What all measurements share."""

    folder: Path
    metadata: ModelMetadata
    params: config.Params
    device_config: DeviceConfig
    budget: Budget


@dataclass(frozen=True)
class Workload:
    """One loop with its batch size and its number of images."""

    loop: Literal["tutorial", "ours"]
    batch_size: int
    num_images: int


@dataclass(frozen=True)
class Speed:
    """The result of one measurement: whole steps, without the warm-up."""

    images: int
    steps: int
    seconds: float
    host_seconds: float  # until the last step was launched
    device_seconds: float  # on the device, by CUDA events on a GPU
    peak_bytes: int

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds


def measure(context: Context, workload: Workload) -> Speed:
    """Raises UserError if there are too few steps, or too little memory."""
    device, train = context.device_config.device, context.params.train
    steps_per_epoch = math.ceil(workload.num_images / workload.batch_size)
    num_steps = steps_per_epoch * train.epochs
    timer = StepTimer(
        context.budget, device, num_steps, warm_up_steps(workload.loop, device, steps_per_epoch)
    )
    torch.manual_seed(train.seed)
    build_network = build if workload.loop == "ours" else build_plain
    model = build_network(context.metadata, context.params.model.dropout)
    split = first_images(_load(context, "train"), workload.num_images)
    loop = {"tutorial": _tutorial, "ours": _ours}[workload.loop]
    with contextlib.suppress(StopMeasuring), oom_as_user_error(workload.batch_size):
        loop(context, workload, model, split, timer)
    seconds = timer.seconds, timer.host_seconds, timer.device_seconds
    return Speed(timer.images, timer.steps, *seconds, peak_memory(device))


def warm_up_steps(loop: str, device: torch.device, steps_per_epoch: int) -> int:
    """The steps of a loop that are not measured.

    Our step on a GPU is compiled, and each kind of it captured after a few of that kind. An epoch
    has one short batch and one monitored step; its validation comes before the next step.
    """
    if loop == "ours" and device.type == "cuda":
        return (NUM_WARM_UP + 1) * steps_per_epoch + 1
    return WARM_UP_STEPS[device.type]


def first_images(split: Split, num_images: int) -> Split:
    """The first `num_images`; a smaller split is repeated from its start."""
    if num_images <= len(split):
        return Split(split.images[:num_images], split.labels[:num_images])
    index = torch.arange(num_images) % len(split)
    return Split(split.images[index], split.labels[index])


def _load(context: Context, name: str) -> Split:
    return Split(*load_split(context.folder, name))


def _tutorial(
    context: Context, workload: Workload, model: AlexNet, split: Split, timer: StepTimer
) -> None:
    from bench import tutorial  # torchvision's memory is no part of the other loop

    device = context.device_config.device
    loader = tutorial.make_loader(
        split.images, split.labels, context.metadata, workload.batch_size, device
    )
    tutorial.train(model, loader, device, context.params.train.epochs, timer)


def _ours(
    context: Context, workload: Workload, model: AlexNet, split: Split, timer: StepTimer
) -> None:
    params = context.params.train.model_copy(update={"batch_size": workload.batch_size})
    configure_torch(params.deterministic)

    def timed(step_fn: StepFn) -> StepFn:
        def step(batch: Batch) -> None:
            step_fn(batch)
            timer(batch.num_images)

        return step

    # The tutorial's loop does not validate. (Batch normalisation has its statistics taken here.)
    val = first_images(split, 1)
    trainer = Trainer(
        model, context.metadata, split, val, params, context.device_config, wrap_step=timed
    )
    trainer.fit(ignore_epoch)


class NullMonitor(LayerMonitor):
    """Records nothing."""

    @contextmanager
    def record_step(self, wanted: bool) -> Iterator[None]:
        yield

    @contextmanager
    def track_dead_relus(self) -> Iterator[None]:
        yield

    def rows(self, epoch: int, distributed: DistributedContext) -> list[LayerEpoch]:
        return []


def epoch_seconds(context: Context, num_images: int, monitored: bool) -> float:
    """The seconds of an epoch with its validation: the fastest one after the first.

    monitored: with the samples of `alexnet.training.layer_monitor`, as in every training.
    """
    params = context.params.train.model_copy(update={"epochs": 1 + MONITORED_EPOCHS})
    configure_torch(params.deterministic)
    torch.manual_seed(params.seed)
    model = build(context.metadata, context.params.model.dropout)
    train, val = first_images(_load(context, "train"), num_images), _load(context, "val")
    monitor = None if monitored else NullMonitor(model)
    trainer = Trainer(
        model, context.metadata, train, val, params, context.device_config, monitor=monitor
    )
    ends: list[float] = []
    trainer.fit(lambda row, seconds: ends.append(now(context.device_config.device)))
    return min(after - before for before, after in itertools.pairwise(ends))


def run_seconds(context: Context, epochs: int, cache: Path) -> float:
    """The seconds of a whole training, with compilation and validation.

    cache: the folder of compiled code, which the run reads and writes.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
    params = context.params.train.model_copy(update={"epochs": epochs})
    configure_torch(params.deterministic)
    train, val = _load(context, "train"), _load(context, "val")
    torch.manual_seed(params.seed)
    model = build(context.metadata, context.params.model.dropout)
    start = time.perf_counter()
    trainer = Trainer(model, context.metadata, train, val, params, context.device_config)
    trainer.fit(ignore_epoch)
    return time.perf_counter() - start


def ignore_epoch(row: object, seconds: float) -> None:
    pass


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
) -> dict[str, Cost]:
    """The cost of both loops, by name."""
    as_written = network_flops(metadata, collapsed=False)
    done = network_flops(metadata, trains_collapsed(metadata, params))
    in_optimizer = run_in_subprocess(optimizer_flops, metadata, params)

    def cost(dtype: torch.dtype, per_image: int, per_step: int) -> Cost:
        peak = run_in_subprocess(product_peak, device_config.device, dtype)
        return Cost(str(dtype).removeprefix("torch."), as_written, per_image, per_step, peak)

    return {
        "tutorial": cost(torch.float32, as_written, 0),
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


def optimizer_flops(metadata: ModelMetadata, params: config.Train) -> int:
    """Operations of the matrix products in one step of our optimizer, counted during a step."""
    model = build(metadata, dropout=0.0)
    network = collapse_for_training(model) if trains_collapsed(metadata, params) else model
    copies = num_copies(model, metadata.image_size)
    optimizer = build_optimizer(network, copies, params, torch.float32)
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
