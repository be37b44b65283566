"""The training loops by the clock: a tutorial's, an expert's, and ours.

Each measurement runs in a process of its own: the peak of memory would hide every later one,
and no loop can help or hinder another.
"""

import contextlib
import itertools
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from alexnet import config
from alexnet.data.dataset import load_split
from alexnet.network.weights import ModelMetadata, build
from alexnet.training.cuda_graph import NUM_WARM_UP
from alexnet.training.device import DeviceConfig, configure_torch, oom_as_user_error
from alexnet.training.distributed import DistributedContext
from alexnet.training.history import LayerEpoch
from alexnet.training.layer_monitor import LayerMonitor
from alexnet.training.loader import Batch, Split
from alexnet.training.trainer import StepFn, Trainer
from bench import expert
from bench.measure import (
    WARM_UP_STEPS,
    Budget,
    StepTimer,
    StopMeasuring,
    now,
    peak_memory,
)
from bench.plain import build_plain

MONITORED_EPOCHS = 3  # in one measurement of `epoch_seconds`, after one of warm-up


@dataclass(frozen=True)
class Context:
    """What all measurements share."""

    folder: Path
    metadata: ModelMetadata
    params: config.Params
    device_config: DeviceConfig
    budget: Budget


Loop = Literal["tutorial", "expert", "ours"]


@dataclass(frozen=True)
class Workload:
    """One loop with its batch size and its number of images."""

    loop: Loop
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
    split = first_images(_load(context, "train"), workload.num_images)
    with contextlib.suppress(StopMeasuring), oom_as_user_error(workload.batch_size):
        LOOPS[workload.loop](context, workload, split, timer)
    seconds = timer.seconds, timer.host_seconds, timer.device_seconds
    return Speed(timer.images, timer.steps, *seconds, peak_memory(device))


def warm_up_steps(loop: Loop, device: torch.device, steps_per_epoch: int) -> int:
    """The steps of a loop that are not measured.

    On a GPU the expert's step and ours are compiled, and each kind of step is captured after a few
    of that kind. An epoch has one short batch and, in ours, one monitored step; its validation
    comes before the next step.
    """
    if loop != "tutorial" and device.type == "cuda":
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


def _tutorial(context: Context, workload: Workload, split: Split, timer: StepTimer) -> None:
    from bench import tutorial  # torchvision's memory is no part of the other loops

    device = context.device_config.device
    model = build_plain(context.metadata, context.params.model.dropout)
    loader = tutorial.make_loader(
        split.images, split.labels, context.metadata, workload.batch_size, device
    )
    tutorial.train(model, loader, device, context.params.train.epochs, timer)


def _expert(context: Context, workload: Workload, split: Split, timer: StepTimer) -> None:
    device_config, epochs = context.device_config, context.params.train.epochs
    model = build_plain(context.metadata, context.params.model.dropout)
    images = expert.Images(split.images, split.labels, context.metadata, device_config)
    expert.train(model, images, device_config, workload.batch_size, epochs, timer)


def _ours(context: Context, workload: Workload, split: Split, timer: StepTimer) -> None:
    params = context.params.train.model_copy(update={"batch_size": workload.batch_size})
    configure_torch(params.deterministic)
    model = build(context.metadata, context.params.model.dropout)

    def timed(step_fn: StepFn) -> StepFn:
        def step(batch: Batch) -> None:
            step_fn(batch)
            timer(batch.num_images)

        return step

    # The other loops do not validate. (Batch normalisation has its statistics taken here.)
    val = first_images(split, 1)
    trainer = Trainer(
        model, context.metadata, split, val, params, context.device_config, wrap_step=timed
    )
    trainer.fit(ignore_epoch)


LOOPS: dict[Loop, Callable[[Context, Workload, Split, StepTimer], None]] = {
    "tutorial": _tutorial,
    "expert": _expert,
    "ours": _ours,
}


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
