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
from alexnet.network.weights import Card, build
from alexnet.training.device import (
    Machine,
    explaining_memory,
    keep_freed_memory,
    make_deterministic,
)
from alexnet.training.distributed import Processes
from alexnet.training.history import LayerEpoch
from alexnet.training.layer_monitor import Vitals
from alexnet.training.loader import Batch, Split
from alexnet.training.trainer import Trainer
from bench.clock import Clock, Enough, Limit, now
from bench.process import peak_memory

WATCHED_EPOCHS = 3  # of one measurement of `epoch_seconds`, behind one that is the warm-up


@dataclass(frozen=True)
class Setting:
    """What all measurements have in common."""

    folder: Path
    card: Card
    params: config.Params
    machine: Machine
    limit: Limit


@dataclass(frozen=True)
class Case:
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


def measure(setting: Setting, case: Case) -> Speed:
    """Raises UserError if there are too few steps, or too little memory."""
    device, train = setting.machine.device, setting.params.train
    steps = math.ceil(case.num_images / case.batch_size) * train.epochs
    clock = Clock(setting.limit, device, steps)
    torch.manual_seed(train.seed)
    model = build(setting.card, setting.params.model.dropout)
    split = take(Split(*load_split(setting.folder, "train")), case.num_images)
    loop = {"tutorial": _tutorial, "ours": _ours}[case.loop]
    with contextlib.suppress(Enough), explaining_memory(case.batch_size):
        loop(setting, case, model, split, clock)
    return Speed(clock.images, clock.steps, clock.seconds, peak_memory(device))


def take(split: Split, num_images: int) -> Split:
    """The first `num_images`; where there are fewer, from the start again."""
    if num_images <= len(split):
        return Split(split.images[:num_images], split.labels[:num_images])
    index = torch.arange(num_images) % len(split)
    return Split(split.images[index], split.labels[index])


def _tutorial(setting: Setting, case: Case, model: AlexNet, split: Split, clock: Clock) -> None:
    from bench import tutorial  # torchvision's memory is no part of the other loop

    device = setting.machine.device
    loader = tutorial.make_loader(split.images, split.labels, setting.card, case.batch_size, device)
    tutorial.train(model, loader, device, setting.params.train.epochs, clock)


def _ours(setting: Setting, case: Case, model: AlexNet, split: Split, clock: Clock) -> None:
    params = setting.params.train.model_copy(update={"batch_size": case.batch_size})
    make_deterministic(params.deterministic)
    keep_freed_memory()
    trainer = Unvalidated(
        model, setting.card, split, take(split, 1), params, setting.machine, say=_silence
    )
    take_step = trainer.take_step

    def by_the_clock(batch: Batch) -> None:
        take_step(batch)
        clock(len(batch.labels))

    trainer.take_step = by_the_clock
    trainer.fit(lambda row, seconds: None)


class Unvalidated(Trainer):
    """One epoch follows the other without a look at the validation images, as in the tutorial."""

    def validate(self, split: Split) -> tuple[float, float]:
        return math.nan, math.nan


def epoch_seconds(setting: Setting, num_images: int, watched: bool) -> float:
    """Seconds of an epoch with its validation, the first one left out: the fastest of the others.

    `watched`: with what `alexnet.training.layer_monitor` samples in it, as every training is.
    """
    params = setting.params.train.model_copy(update={"epochs": 1 + WATCHED_EPOCHS})
    make_deterministic(params.deterministic)
    keep_freed_memory()
    torch.manual_seed(params.seed)
    model = build(setting.card, setting.params.model.dropout)
    train, val = (Split(*load_split(setting.folder, name)) for name in ("train", "val"))
    train = take(train, num_images)
    trainer = Trainer(model, setting.card, train, val, params, setting.machine, say=_silence)
    if not watched:
        trainer.vitals = Unwatching(trainer.network)
    ends: list[float] = []
    trainer.fit(lambda row, seconds: ends.append(now(setting.machine.device)))
    return min(after - before for before, after in itertools.pairwise(ends))


class Unwatching(Vitals):
    """Samples nothing."""

    @contextmanager
    def sampling(self, wanted: bool) -> Iterator[None]:
        yield

    @contextmanager
    def watching_relus(self) -> Iterator[None]:
        yield

    def rows(self, epoch: int, processes: Processes) -> list[LayerEpoch]:
        return []


def whole_run(setting: Setting, epochs: int, cache: Path) -> float:
    """Seconds of a training from the first line to the last, compilation and validation included.

    Compiled code is taken from the folder `cache`, or put there.
    """
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache)
    params = setting.params.train.model_copy(update={"epochs": epochs})
    make_deterministic(params.deterministic)
    keep_freed_memory()
    train, val = (Split(*load_split(setting.folder, name)) for name in ("train", "val"))
    torch.manual_seed(params.seed)
    model = build(setting.card, setting.params.model.dropout)
    start = time.perf_counter()
    trainer = Trainer(model, setting.card, train, val, params, setting.machine, say=_silence)
    trainer.fit(lambda row, seconds: None)
    return time.perf_counter() - start


def _silence(line: str) -> None:
    pass
