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
    """Around the training loop, which calls `after_step`, and `after_training` at its end.

    Active as a context manager.

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
        self.last_save, self.first_epoch = time.monotonic(), self.state.epoch
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
            self._save("training stops" if received_signal else "training continues")
            self.last_save = time.monotonic()
        if received_signal:
            num_steps, step = self.steps_per_epoch * self.params.epochs, self.state.step
            reached = f"after step {step:,} of {num_steps:,}"
            if self.checkpoints:
                reached += f"; {self.checkpoints.describe_resume(step)}"
            raise TrainingInterrupted(received_signal, reached)

    def after_training(self) -> None:
        """Write the last checkpoint: whatever fails from here on does not cost the training.

        A signal that came since the last step stops nothing any more: the results take less time.
        """
        if self.state.epoch > self.first_epoch:  # else the run was complete before
            self._save("the results are written all the same", is_final=True)

    def _save(self, then: str, is_final: bool = False) -> None:
        """then: what happens if it cannot be written and that is no error."""
        metrics = self.distributed.all_gather(self.state.metrics.sums)  # of every process
        if self.checkpoints is None:
            return
        check_finite(metrics, self.state.epoch * self.steps_per_epoch)
        try:
            self.checkpoints.save(self.state.to_checkpoint(metrics), is_final)
        except OSError as error:
            if self.params.on_checkpoint_error == "stop":
                raise
            logger.warning(f"no checkpoint at step {self.state.step:,} ({error}); {then}")
