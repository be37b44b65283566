"""One measurement: a training loop by the clock, in a process of its own.

A process of its own, because memory is measured by its highest level, which would
hide what comes after it, and because nothing of one loop then helps or hinders the other.
"""

import contextlib
import itertools
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from alexnet import config
from alexnet.data.dataset import load_split
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata, build
from alexnet.training.device import (
    DeviceConfig,
    disable_malloc_trim,
    make_deterministic,
    oom_as_user_error,
)
from alexnet.training.distributed import DistributedContext
from alexnet.training.history import LayerEpoch
from alexnet.training.layer_monitor import LayerMonitor
from alexnet.training.loader import Batch, Split
from alexnet.training.trainer import Trainer
from bench.clock import Budget, StepTimer, StopMeasuring, now
from bench.process import peak_memory

WATCHED_EPOCHS = 3  # of one measurement of `epoch_seconds`, behind one that is the warm-up


@dataclass(frozen=True)
class Context:
    """What all measurements have in common."""

    folder: Path
    metadata: ModelMetadata
    params: config.Params
    device_config: DeviceConfig
    limit: Budget


@dataclass(frozen=True)
class Workload:
    """What is measured: a loop on so many images, so many a step."""

    loop: Literal["tutorial", "ours"]
    batch_size: int
    num_images: int


@dataclass(frozen=True)
class Speed:
    """What was measured: whole steps, without the warm-up."""

    images: int
    steps: int
    seconds: float
    peak_bytes: int

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds


def measure(setting: Context, case: Workload) -> Speed:
    """Raises UserError if there are too few steps, or too little memory."""
    device, train = setting.device_config.device, setting.params.train
    steps = math.ceil(case.num_images / case.batch_size) * train.epochs
    clock = StepTimer(setting.limit, device, steps)
    torch.manual_seed(train.seed)
    model = build(setting.metadata, setting.params.model.dropout)
    split = take(Split(*load_split(setting.folder, "train")), case.num_images)
    loop = {"tutorial": _tutorial, "ours": _ours}[case.loop]
    with contextlib.suppress(StopMeasuring), oom_as_user_error(case.batch_size):
        loop(setting, case, model, split, clock)
    return Speed(clock.images, clock.steps, clock.seconds, peak_memory(device))


def take(split: Split, num_images: int) -> Split:
    """The first `num_images`; where there are fewer, from the start again."""
    if num_images <= len(split):
        return Split(split.images[:num_images], split.labels[:num_images])
    index = torch.arange(num_images) % len(split)
    return Split(split.images[index], split.labels[index])


def _tutorial(
    setting: Context, case: Workload, model: AlexNet, split: Split, clock: StepTimer
) -> None:
    from bench import tutorial  # torchvision's memory is no part of the other loop

    device = setting.device_config.device
    loader = tutorial.make_loader(
        split.images, split.labels, setting.metadata, case.batch_size, device
    )
    tutorial.train(model, loader, device, setting.params.train.epochs, clock)


def _ours(setting: Context, case: Workload, model: AlexNet, split: Split, clock: StepTimer) -> None:
    params = setting.params.train.model_copy(update={"batch_size": case.batch_size})
    make_deterministic(params.deterministic)
    disable_malloc_trim()
    trainer = Unvalidated(
        model, setting.metadata, split, take(split, 1), params, setting.device_config, say=_silence
    )
    step_fn = trainer.step_fn

    def by_the_clock(batch: Batch) -> None:
        step_fn(batch)
        clock(len(batch.labels))

    trainer.step_fn = by_the_clock
    trainer.fit(lambda row, seconds: None)


class Unvalidated(Trainer):
    """One epoch follows the other without a look at the validation images, as in the tutorial."""

    def validate(self, split: Split) -> tuple[float, float]:
        return math.nan, math.nan


def epoch_seconds(setting: Context, num_images: int, watched: bool) -> float:
    """Seconds of an epoch with its validation, the first one left out: the fastest of the others.

    `watched`: with what `alexnet.training.layer_monitor` samples in it, as every training is.
    """
    params = setting.params.train.model_copy(update={"epochs": 1 + WATCHED_EPOCHS})
    make_deterministic(params.deterministic)
    disable_malloc_trim()
    torch.manual_seed(params.seed)
    model = build(setting.metadata, setting.params.model.dropout)
    train, val = (Split(*load_split(setting.folder, name)) for name in ("train", "val"))
    train = take(train, num_images)
    trainer = Trainer(
        model, setting.metadata, train, val, params, setting.device_config, say=_silence
    )
    if not watched:
        trainer.layer_monitor = NullMonitor(trainer.network)
    ends: list[float] = []
    trainer.fit(lambda row, seconds: ends.append(now(setting.device_config.device)))
    return min(after - before for before, after in itertools.pairwise(ends))


class NullMonitor(LayerMonitor):
    """Samples nothing."""

    @contextmanager
    def record_step(self, wanted: bool) -> Iterator[None]:
        yield

    @contextmanager
    def track_dead_relus(self) -> Iterator[None]:
        yield

    def rows(self, epoch: int, distributed: DistributedContext) -> list[LayerEpoch]:
        return []


def whole_run(setting: Context, epochs: int, cache: Path) -> float:
    """Seconds of a training from the first line to the last, compilation and validation included.

    Compiled code is taken from the folder `cache`, or put there.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
    params = setting.params.train.model_copy(update={"epochs": epochs})
    make_deterministic(params.deterministic)
    disable_malloc_trim()
    train, val = (Split(*load_split(setting.folder, name)) for name in ("train", "val"))
    torch.manual_seed(params.seed)
    model = build(setting.metadata, setting.params.model.dropout)
    start = time.perf_counter()
    trainer = Trainer(
        model, setting.metadata, train, val, params, setting.device_config, say=_silence
    )
    trainer.fit(lambda row, seconds: None)
    return time.perf_counter() - start


def _silence(line: str) -> None:
    pass
