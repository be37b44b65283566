"""All that changes from step to step, as one object: what a checkpoint holds.

It is made of the `state_dict()`s of its parts, whatever the network or the optimizer consists
of: parameters, buffers, momentum, averages. Tensors are read and restored in place, so that
everything that holds them (a recorded CUDA graph, the moving average) still does.
"""

from dataclasses import asdict, dataclass, field

import torch
from torch import Tensor, nn

from alexnet.nested import dotted_keys
from alexnet.training.averaging import ExponentialMovingAverage
from alexnet.training.checkpoint import Checkpoint
from alexnet.training.distributed import DistributedContext
from alexnet.training.filter_history import FilterHistory
from alexnet.training.history import Epoch, LayerEpoch
from alexnet.training.layer_monitor import LayerMonitor
from alexnet.training.running_metrics import RunningMetrics

METRICS = "metrics"  # (world_size, 4): of every process, which continues with its own


@dataclass
class TrainingState:
    """The parts of a run, and how far it has come."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: ExponentialMovingAverage | None
    metrics: RunningMetrics
    monitor: LayerMonitor
    filters: FilterHistory
    step: int = 0  # optimizer steps taken
    epoch: int = 0  # epochs complete, validation included
    rows: list[Epoch] = field(default_factory=list)  # one for each epoch that is complete
    layer_rows: list[LayerEpoch] = field(default_factory=list)
    epoch_seconds: float = 0.0  # of the current epoch
    total_seconds: float = 0.0  # of the complete ones

    def result(self) -> dict[str, Tensor]:
        """The network's state dict if the run ended now: averaged, where an average is kept."""
        if self.average and self.step:
            return self.average.averaged(self.step)
        return self.network.state_dict()

    def complete_epoch(self) -> None:
        """Begin the next epoch's metrics and clock."""
        self.epoch += 1
        self.total_seconds += self.epoch_seconds
        self.epoch_seconds = 0.0
        self.metrics.reset()

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor that training changes, by its path: the tensors themselves, no copies.

        Those of the metrics are left out, since each process has its own.
        """
        parts = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict()["state"],  # its settings are parameters
            "average": self.average.state_dict() if self.average else {},
            "monitor": self.monitor.state_dict(),
            "filters": self.filters.state_dict(),
        }
        tensors = dict(dotted_keys(parts))  # optimizer.0.momentum_buffer
        for name, value in tensors.items():
            assert isinstance(value, Tensor), f"{name} is no tensor: it cannot be restored"
        return tensors

    def to_checkpoint(self, metrics: Tensor) -> Checkpoint:
        """A copy on the CPU. metrics: (world_size, 4), the sums of every process."""
        tensors = {
            name: value.cpu().contiguous()
            for name, value in (self.tensors() | {METRICS: metrics}).items()
        }
        progress = {
            "rows": [asdict(row) for row in self.rows],
            "layer_rows": [asdict(row) for row in self.layer_rows],
            "epoch_seconds": self.epoch_seconds,
            "total_seconds": self.total_seconds,
        }
        return Checkpoint(self.step, tensors, progress)

    def restore(self, checkpoint: Checkpoint | None, distributed: DistributedContext) -> bool:
        """Continue from the main process's checkpoint; False if it has none.

        Every process has to call this; the others pass None and receive what the main one read.
        """
        (self.step,) = distributed.all_reduce_max(checkpoint.step if checkpoint else 0)
        if not self.step:
            return False
        tensors = self.tensors() | {METRICS: distributed.all_gather(self.metrics.sums)}
        if checkpoint:
            assert tensors.keys() == checkpoint.tensors.keys(), "the run key covers all of them"
            for name, value in tensors.items():
                value.copy_(checkpoint.tensors[name])
            progress = checkpoint.progress
            self.rows = [Epoch(**row) for row in progress["rows"]]
            self.layer_rows = [LayerEpoch(**row) for row in progress["layer_rows"]]
            self.epoch_seconds = progress["epoch_seconds"]
            self.total_seconds = progress["total_seconds"]
        distributed.broadcast_(tensors.values())
        (self.epoch,) = distributed.all_reduce_max(len(self.rows))
        self.metrics.sums.copy_(tensors[METRICS][distributed.rank])
        return True
