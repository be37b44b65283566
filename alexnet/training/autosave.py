"""A checkpoint when one is due, and when a signal asks the training to stop."""

import logging
import time

from alexnet import config
from alexnet.signals import GracefulShutdown, TrainingInterrupted
from alexnet.training.checkpoint import Checkpoints
from alexnet.training.distributed import DistributedContext
from alexnet.training.running_metrics import check_finite
from alexnet.training.state import TrainingState

# Steps between two exchanges of flags, for which each process waits for the slowest.
EXCHANGE_INTERVAL = {"cpu": 1, "cuda": 16}

logger = logging.getLogger(__name__)


class Autosave(GracefulShutdown):
    """Around the training loop, which calls `after_step`; active as a context manager.

    checkpoints: None where no checkpoint is written, as in all processes but the main one.
    """

    def __init__(
        self,
        state: TrainingState,
        checkpoints: Checkpoints | None,
        params: config.Train,
        distributed: DistributedContext,
        steps_per_epoch: int,
    ) -> None:
        super().__init__()
        self.state, self.checkpoints, self.params = state, checkpoints, params
        self.distributed, self.steps_per_epoch = distributed, steps_per_epoch
        device_type = state.metrics.sums.device.type
        self.interval = EXCHANGE_INTERVAL[device_type] if distributed.world_size > 1 else 1

    def __enter__(self) -> "Autosave":
        self.last_save = time.monotonic()
        super().__enter__()
        return self

    def after_step(self) -> None:
        """Write a checkpoint if one is due or a signal arrived; after a signal, stop.

        All processes do so after the same step: when the main one is due, or when any of them
        received a signal. Raises TrainingInterrupted after a signal, and UserError if the loss is
        not finite: no checkpoint of a run that diverged.
        """
        if self.state.step % self.interval:
            return
        waited = time.monotonic() - self.last_save
        due = self.checkpoints is not None and waited >= self.params.checkpoint_seconds
        received_signal, save = self.distributed.all_reduce_max(self.received_signal, due)
        if received_signal or save:
            self._save()
            self.last_save = time.monotonic()
        if received_signal:
            num_steps = self.steps_per_epoch * self.params.epochs
            reached = f"after step {self.state.step:,} of {num_steps:,}"
            raise TrainingInterrupted(received_signal, reached)

    def _save(self) -> None:
        metrics = self.distributed.all_gather(self.state.metrics.sums)  # of every process
        if self.checkpoints is None:
            return
        check_finite(metrics, self.state.epoch * self.steps_per_epoch)
        try:
            self.checkpoints.save(self.state.to_checkpoint(metrics))
        except OSError as error:
            if self.params.on_checkpoint_error == "stop":
                raise
            step = f"{self.state.step:,}"
            logger.warning(f"no checkpoint at step {step} ({error}); training continues")
