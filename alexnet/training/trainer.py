"""Training, in plain sight: `fit` is the run, `train_epoch` the loop, `step` its five verbs.

The images lie on the device as uint8; each step gathers its batch there, augments it,
and takes one step of stochastic gradient descent. Randomness is a function of the seed
and of the epoch or step, never of what was drawn before: step 700 of a run is the same
however one gets there, so that an interrupted run, taken up again, ends in the same bytes.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from alexnet import config
from alexnet.errors import UserError
from alexnet.network.collapse import (
    can_collapse,
    collapse_for_training,
    expand_pool_copies,
    num_copies,
)
from alexnet.network.inputs import centre_crop, normalise
from alexnet.network.model import AlexNet
from alexnet.network.summary import num_parameters, summarize, totals, training_flops
from alexnet.network.weights import ModelMetadata
from alexnet.progress import progress
from alexnet.seeding import generator_for, seed_for
from alexnet.signals import GracefulShutdown, TrainingInterrupted
from alexnet.training.augmentation import Augmentation
from alexnet.training.checkpoint import Checkpoints, State
from alexnet.training.cuda_graph import CUDAGraphStep
from alexnet.training.device import DeviceConfig
from alexnet.training.distributed import SINGLE_PROCESS, DistributedContext
from alexnet.training.history import Epoch, LayerEpoch
from alexnet.training.layer_monitor import LayerMonitor
from alexnet.training.loader import Batch, Split, batches, move_to_device
from alexnet.training.optimizer import (
    ExponentialMovingAverage,
    build,
    clip_gradient,
    schedule,
    set_learning_rate,
)
from alexnet.training.running_metrics import COUNT, RunningMetrics, check_finite, loss_and_accuracy

LOG_INTERVAL_SECONDS = 1.0  # between two looks at the loss: each of them waits for the device
VALIDATION_BATCH = 500

OnEpoch = Callable[[Epoch, float], None]  # its figures, and how many seconds it took


class Trainer:
    """One training run. `model` is trained in place."""

    def __init__(
        self,
        model: AlexNet,
        metadata: ModelMetadata,
        train: Split,
        val: Split,
        params: config.Train,
        device_config: DeviceConfig,
        distributed: DistributedContext = SINGLE_PROCESS,
        checkpoints: Checkpoints | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        """Raises UserError if the batch is larger than the training split."""
        if params.batch_size > len(train):
            raise UserError(
                f"train.batch_size: {params.batch_size} is more than the "
                f"{len(train)} training images"
            )
        self.model, self.metadata, self.params = model, metadata, params
        self.device_config, self.distributed = device_config, distributed
        self.checkpoints = checkpoints
        self.say = say if distributed.is_main_process else _silence
        self.device = device = device_config.device
        self.train = move_to_device(train, device, params.data_location)
        self.val = move_to_device(val, device, params.data_location)
        self.steps_per_epoch = math.ceil(len(train) / params.batch_size)
        self.num_steps = self.steps_per_epoch * params.epochs

        # What computes: the network as it was written, or the same without fc1's copies.
        self.collapses = params.collapse_fc1 == "auto" and can_collapse(model, metadata.image_size)
        self.network = collapse_for_training(model) if self.collapses else model
        self.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        copies = num_copies(model, metadata.image_size)
        self.optimizer = build(self.network, copies, params, device_config.dtype)
        self.average = (
            ExponentialMovingAverage(self.network, params.ema_decay) if params.ema_decay else None
        )
        self.metrics = RunningMetrics(device)
        self.layer_monitor = LayerMonitor(self.network)
        self.augmentation = Augmentation(train.images, metadata.mean, metadata.std, params, device)

        # Where the run has got to.
        self.step = 0
        self.first_epoch = 0  # the first one that is not over
        self.rows: list[Epoch] = []
        self.layer_rows: list[LayerEpoch] = []
        self.seconds = 0.0  # of the epoch under way
        self.total_seconds = 0.0  # of the epochs before
        self._resume()

        # On a GPU the step is compiled, and replayed as a graph where one process is enough.
        self.forward = distributed.wrap_ddp(self.network)
        self.step_fn: Callable[[Batch], None] = self.train_step
        if device.type == "cuda":
            self.forward = torch.compile(self.forward)  # type: ignore[assignment]
            if distributed.world_size == 1:
                self.step_fn = CUDAGraphStep(
                    self.train_step, lambda: self.layer_monitor.is_sampling
                )

    def fit(self, on_epoch: OnEpoch) -> None:
        """Train to the end; call `on_epoch` after each epoch, those before a resume included.

        Raises UserError if the loss stops being finite, and Interrupted on SIGTERM or
        SIGINT, once a checkpoint is written.
        """
        params = self.params
        self._log_run_header()  # every process takes part, the first one speaks
        for row in self.rows:
            on_epoch(row, math.nan)
        self.last_save = time.monotonic()
        with GracefulShutdown() as self.received_signal:
            for epoch in range(self.first_epoch, params.epochs):
                train_loss, train_accuracy = self.train_epoch(epoch)
                with self.layer_monitor.track_dead_relus():
                    val_loss, val_accuracy = self.validate(self.val)
                rate = params.learning_rate * schedule(self.step - 1, self.num_steps, params)
                row = Epoch(epoch + 1, rate, train_loss, train_accuracy, val_loss, val_accuracy)
                self.rows.append(row)
                self.layer_rows += self.layer_monitor.rows(epoch + 1, self.distributed)
                on_epoch(row, self.seconds)
                self.total_seconds += self.seconds
                self.seconds = 0.0
                self.metrics.reset()
        self.network.load_state_dict(self._averaged_weights())
        self.model.to("cpu")
        if self.collapses:
            expand_pool_copies(self.network.to("cpu"), self.model)

    def train_epoch(self, epoch: int) -> tuple[float, float]:
        """One pass over the training images, in an order of its own: (mean loss, accuracy)."""
        params = self.params
        sampled = self.augmentation.sample(len(self.train), epoch)
        order = epoch_order(len(self.train), params.seed, epoch).split(params.batch_size)
        done = self.step - epoch * self.steps_per_epoch  # more than 0 after a resume
        start = last_log_time = time.perf_counter() - self.seconds
        self.network.train()
        with progress(f"epoch {epoch + 1}/{params.epochs}", len(order), done) as advance:
            for batch in batches(self.train, sampled, order[done:], self.device, self.distributed):
                torch.manual_seed(seed_for(params.seed, "step", self.step, self.distributed.rank))
                set_learning_rate(self.optimizer, self.step, self.num_steps, params)
                with self.layer_monitor.record_step((self.step + 1) % self.steps_per_epoch == 0):
                    self.step_fn(batch)
                self.step += 1
                now = time.perf_counter()
                self.seconds = now - start
                if now - last_log_time > LOG_INTERVAL_SECONDS:
                    last_log_time = now
                    advance(0, self._progress_text(epoch))
                advance(1)
                self._checkpoint_or_stop()
        sums = self.distributed.all_gather(self.metrics.sums)
        check_finite(sums, epoch * self.steps_per_epoch)
        self.seconds = time.perf_counter() - start  # now that the device has finished, too
        return loss_and_accuracy(sums.sum(dim=0).tolist())

    def train_step(self, batch: Batch) -> None:
        """One step of gradient descent: logits, loss, zero_grad, backward, step."""
        x = self.augmentation(batch.images, batch.augmentation_params)  # (N, C, H, W)
        with self.device_config.autocast():
            logits = self.forward(x)  #                (N, num_classes)
        params, num_classes = batch.augmentation_params, logits.shape[1]
        targets = self.augmentation.targets(batch.labels, params, num_classes)
        loss = self.criterion(logits, targets)
        self.optimizer.zero_grad()
        (loss / batch.loss_divisor).backward()
        self.layer_monitor.record_gradients()
        clip_gradient(self.optimizer, self.params)
        self.optimizer.step()

        self.metrics.add(logits, batch.labels, loss)
        if self.average:
            self.average.update()

    def criterion(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The sum of the images' losses; divided by their number, the step's loss."""
        smoothing = self.params.label_smoothing
        return F.cross_entropy(logits.float(), targets, label_smoothing=smoothing, reduction="sum")

    @torch.inference_mode()
    def validate(self, split: Split) -> tuple[float, float]:
        """(mean loss, accuracy) on images as they are, without label smoothing.

        Measures the average of the weights where one is kept: it will be the result.
        """
        metrics = RunningMetrics(self.device)
        weights = self._averaged_weights()
        self.network.eval()
        for start in range(0, len(split), VALIDATION_BATCH):
            # Every process takes the next batch in turn.
            if start // VALIDATION_BATCH % self.distributed.world_size == self.distributed.rank:
                rows = slice(start, start + VALIDATION_BATCH)
                labels = split.labels[rows].to(self.device)
                images = centre_crop(split.images[rows], self.metadata.image_size)
                x = normalise(images.to(self.device), self.augmentation.mean, self.augmentation.std)
                with self.device_config.autocast():
                    logits = functional_call(self.network, weights, (x,))
                metrics.add(
                    logits, labels, F.cross_entropy(logits.float(), labels, reduction="sum")
                )
        return loss_and_accuracy(self.distributed.all_reduce_sum(metrics.sums).tolist())

    def _averaged_weights(self) -> dict[str, Tensor]:
        """The weights as the run would end now: their average where one is kept."""
        if self.average and self.step:
            return self.average.averaged(self.step)
        return self.network.state_dict()

    def _progress_text(self, epoch: int) -> str:
        """How this epoch has gone so far, on this process's share; it must be finite."""
        sums = self.metrics.sums.cpu()
        check_finite(sums[None], epoch * self.steps_per_epoch)
        loss, accuracy = loss_and_accuracy(sums.tolist())
        speed = float(sums[COUNT]) * self.distributed.world_size / self.seconds
        return f"loss {loss:.3f}  accuracy {accuracy:.1%}  {speed:,.0f} images/s"

    def _checkpoint_or_stop(self) -> None:
        """Write a checkpoint if it is time to, or if training was told to stop; then stop.

        All processes do so after the same step: when the first one's time has come, or
        when any of them was told.
        """
        received_signal = self.distributed.all_reduce_max(self.received_signal.signum)
        waited = time.monotonic() - self.last_save
        due = self.checkpoints is not None and waited >= self.params.checkpoint_seconds
        if received_signal or self.distributed.all_reduce_max(due):
            self._save()
            self.last_save = time.monotonic()
        if received_signal:
            raise TrainingInterrupted(
                received_signal, f"after step {self.step:,} of {self.num_steps:,}"
            )

    def _training_state(self) -> dict[str, Tensor]:
        """All that changes from step to step, by name: the tensors themselves, not copies."""
        live = {}
        for name, parameter in self.network.named_parameters():
            live[f"weight {name}"] = parameter.detach()
            for kind, value in self.optimizer.state[parameter].items():
                live[f"{kind} {name}"] = value
        if self.average:
            for name, value in zip(self.average.names, self.average.sums, strict=True):
                live[f"average {name}"] = value
        live["vitals"] = self.layer_monitor.norms
        return live

    def _save(self) -> None:
        sums = self.distributed.all_gather(self.metrics.sums)
        if self.checkpoints is None:
            return
        check_finite(sums, len(self.rows) * self.steps_per_epoch)
        tensors = {name: value.cpu().contiguous() for name, value in self._training_state().items()}
        seconds = self.seconds, self.total_seconds
        facts = {"rows": [asdict(row) for row in self.rows], "seconds": seconds}
        facts["layer_rows"] = [asdict(row) for row in self.layer_rows]
        try:
            self.checkpoints.save(State(self.step, tensors | {"meter": sums.cpu()}, facts))
        except OSError as error:
            if self.params.on_checkpoint_error == "stop":
                raise
            self.say(f"warning: no checkpoint at step {self.step:,} ({error}); training goes on")

    def _resume(self) -> None:
        """Go on from the newest checkpoint, if there is one: the first process reads it."""
        state = self.checkpoints.load_latest(self.say) if self.checkpoints else None
        self.step = self.distributed.all_reduce_max(state.step if state else 0)
        if not self.step:
            return
        live = self._training_state() | {"meter": self.distributed.all_gather(self.metrics.sums)}
        if state:
            for name, value in live.items():
                value.copy_(state.tensors[name])
            self.rows = [Epoch(**row) for row in state.facts["rows"]]
            self.layer_rows = [LayerEpoch(**row) for row in state.facts["layer_rows"]]
            self.seconds, self.total_seconds = state.facts["seconds"]
            self.say(f"going on from the checkpoint at step {self.step:,} of {self.num_steps:,}")
        self.first_epoch = self.distributed.all_reduce_max(len(self.rows))
        self.distributed.broadcast_(live.values())
        self.metrics.sums.copy_(live["meter"][self.distributed.rank])

    def _log_run_header(self) -> None:
        """Say what is about to run, and the loss before the first step.

        A fresh network knows nothing, so its loss should be near log(num_classes);
        a larger one means an initialisation that has to be unlearned first.
        """
        layers = summarize(self.model, self.metadata.image_size)
        params, num_classes = self.params, len(self.metadata.classes)
        others = (
            f", {self.distributed.world_size} processes" if self.distributed.world_size > 1 else ""
        )
        self.say(f"device {self.device_config}{others}")
        self.say(
            f"variant {self.metadata.variant}: {num_parameters(self.model):,} parameters, "
            f"{totals(layers)['flops'] / 1e6:.2f} MFLOP an image forward, "
            f"{training_flops(layers) / 1e6:.2f} forward and backward"
        )
        if self.collapses:
            collapsed = num_parameters(self.network)
            self.say(f"fc1 without its copies while training: {collapsed:,} numbers to learn")
        self.say(
            f"{len(self.train):,} images, {params.batch_size} a step, "
            f"{self.steps_per_epoch} steps an epoch, {params.epochs} epochs"
        )
        if self.step == 0:
            some = epoch_order(len(self.train), params.seed, epoch=0)[: params.batch_size]
            some = some.to(self.train.images.device)
            loss, _ = self.validate(Split(self.train.images[some], self.train.labels[some]))
            self.say(f"initial loss {loss:.3f}, log({num_classes}) = {math.log(num_classes):.3f}")


def epoch_order(num_images: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in an epoch: a permutation, int64 (num_images)."""
    return torch.randperm(num_images, generator=generator_for(seed, "order", epoch))


def _silence(line: str) -> None:
    pass
