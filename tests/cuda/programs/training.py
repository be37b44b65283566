"""What the programs share: a trainer with the project's own parameters, and what it did.

Values mean nothing on the null GPU, so what checks that they are finite is left out.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import torch

from alexnet import config
from alexnet.network.weights import ModelMetadata, build
from alexnet.training import autosave
from alexnet.training import trainer as training
from alexnet.training.checkpoint import Checkpoint
from alexnet.training.device import DeviceConfig, configure_torch
from alexnet.training.distributed import SINGLE_PROCESS, DistributedContext
from alexnet.training.loader import Batch, Split
from tests.cuda.null_gpu.device import counters, record

PARAMS = config.load(Path(__file__).parents[3] / "params.yaml")
DEVICE = torch.device("cuda:0")
IMAGE_SIZES = {"cifar": 32, "imagenet-2012": 227, "one-weird-trick": 224}
CLASSES = tuple("abcdefghij")


def ignore_values() -> None:
    for module in (training, autosave):
        module.check_finite = lambda *arguments: None
    training.loss_and_accuracy = lambda sums: (0.0, 0.0)
    training.LOG_INTERVAL_SECONDS = float("inf")  # reading the loss waits for the device


class InMemory:
    """Checkpoints that stay in memory; `latest` is what a trainer resumes from."""

    def __init__(self, latest: Checkpoint | None = None) -> None:
        self.latest = latest

    def load_latest(self) -> Checkpoint | None:
        return self.latest

    def save(self, checkpoint: Checkpoint, is_final: bool) -> None:
        self.latest = checkpoint


class Run:
    """A run of 3 epochs with default parameters: full batches and a short one in each.

    `steps`: for each step how often the runtime was asked for each thing from its beginning to
    that of the next (for the last of an epoch, to its end), and its seconds on the host.
    `checkpoints`: the states before the steps of `save_at`, by step.
    """

    def __init__(
        self,
        variant: str,
        num_full: int,
        latest: Checkpoint | None = None,
        save_at: tuple[int, ...] = (),
        distributed: DistributedContext = SINGLE_PROCESS,
        **changes: Any,
    ) -> None:
        size = IMAGE_SIZES[variant]
        params = PARAMS.train.model_copy(update={"epochs": 3, "checkpoint_seconds": 1e6} | changes)
        metadata = ModelMetadata(variant, CLASSES, size, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
        configure_torch(params.deterministic)
        torch.manual_seed(0)
        train = random_split(params.batch_size * num_full + 40, size)
        self.steps: list[dict[str, float]] = []
        self.begun: tuple[dict[str, int], float] | None = None
        self.checkpoints: dict[int, Checkpoint] = {}
        self.save_at = save_at
        self.trainer = training.Trainer(
            build(metadata, PARAMS.model.dropout),
            metadata,
            train,
            random_split(100, size),
            params,
            DeviceConfig(DEVICE, torch.bfloat16, compiles=True),
            distributed,
            checkpoints=InMemory(latest),
            wrap_step=self._watch,
        )

    def fit(self) -> "Run":
        self.trainer.fit(lambda row, seconds: None)
        return self

    def _watch(self, step_fn: training.StepFn) -> training.StepFn:
        def step(batch: Batch) -> None:
            self._complete_step()
            state = self.trainer.state
            if state.step in self.save_at:
                metrics = self.trainer.distributed.all_gather(self.trainer.metrics.sums)
                self.checkpoints[state.step] = state.to_checkpoint(metrics)
            self.begun = counters(), time.perf_counter()
            step_fn(batch)
            if (state.step + 1) % self.trainer.steps_per_epoch == 0:
                self._complete_step()

        return step

    def _complete_step(self) -> None:
        if self.begun:
            before, start = self.begun
            seconds = time.perf_counter() - start
            found = {name: count - before[name] for name, count in counters().items()}
            self.steps.append(found | {"seconds": seconds, "compiled": num_compiled()})
        self.begun = None


def random_split(num_images: int, size: int) -> Split:
    shape = (num_images, size, size, 3)
    return Split(torch.randint(256, shape, dtype=torch.uint8), torch.randint(10, (num_images,)))


def num_compiled() -> int:
    """How many graphs of PyTorch's operations have been compiled so far."""
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def graphs() -> list[dict[str, Any]]:
    return [dataclasses.asdict(graph) for graph in record().graphs]


def print_results(**results: Any) -> None:
    print(json.dumps(results | {"violations": record().violations, "counters": counters()}))


ignore_values()
