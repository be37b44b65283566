"""Training, in plain sight: `fit` is the run, `train_epoch` the loop, `train_step` its five verbs.

The images lie on the device as uint8; each step gathers its batch there, augments it, and
takes one step of stochastic gradient descent. Randomness is a function of the seed and of the
epoch or step, never of history: step 700 is the same however a run gets there, so that a
resumed run ends in the same bytes as an uninterrupted one.
"""

import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call

from alexnet import config
from alexnet.network.collapse import num_copies
from alexnet.network.inputs import centre_crop, normalise
from alexnet.network.model import AlexNet
from alexnet.network.weights import ModelMetadata
from alexnet.progress import progress
from alexnet.seeding import seed_for
from alexnet.training.augmentation import Augmentation
from alexnet.training.autosave import Autosave
from alexnet.training.averaging import ExponentialMovingAverage
from alexnet.training.batch_norm import exact_statistics, fold
from alexnet.training.checkpoint import Checkpoints
from alexnet.training.cuda_graph import CUDAGraphStep
from alexnet.training.device import DeviceConfig, default_generator
from alexnet.training.distributed import (
    SINGLE_PROCESS,
    DistributedContext,
    gradients_and_buffers,
)
from alexnet.training.filter_history import FilterHistory
from alexnet.training.history import Epoch
from alexnet.training.layer_monitor import LayerMonitor
from alexnet.training.loader import (
    Batch,
    EpochPlan,
    EpochPlanner,
    Loader,
    Split,
    epoch_order,
    move_to_device,
    require_batches,
)
from alexnet.training.loss import Criterion, cross_entropy
from alexnet.training.networks import Networks
from alexnet.training.optimizer import build_optimizer, schedule, set_learning_rate
from alexnet.training.run_header import log_resume, log_run_header
from alexnet.training.running_metrics import (
    COUNT,
    FINITE_STEPS,
    RunningMetrics,
    check_finite,
    loss_and_accuracy,
)
from alexnet.training.state import TrainingState
from alexnet.training.warm_start import WarmStart
from alexnet.training.whitening import whiten_first_layer

LOG_INTERVAL_SECONDS = 1.0  # between two readings of the loss: each waits for the device
VALIDATION_BATCH = 500
logger = logging.getLogger(__name__)

StepFn = Callable[[Batch], None]
OnEpoch = Callable[[Epoch, float], None]  # the epoch's row, and its duration in seconds


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
        *,
        warm_start: WarmStart | None = None,
        criterion: Criterion | None = None,
        monitor: LayerMonitor | None = None,
        wrap_step: Callable[[StepFn], StepFn] = lambda step_fn: step_fn,
        use_cuda_graph: bool = True,
    ) -> None:
        """Build the run's parts and resume from its latest checkpoint, if there is one.

        warm_start: where `model`'s weights come from; None: they are new. criterion: instead of
        cross-entropy; monitor: instead of a LayerMonitor of the network; wrap_step: what runs
        around each step, such as a timer. Raises UserError for a batch that does not suit the
        training split.
        """
        require_batches(len(train), params)
        self.model, self.metadata, self.params = model, metadata, params
        self.device_config, self.distributed = device_config, distributed
        self.warm_start = warm_start
        self.device = device = device_config.device
        self.train = move_to_device(train, device, params.data_location)
        self.val = move_to_device(val, device, params.data_location)
        self.steps_per_epoch = math.ceil(len(train) / params.batch_size)
        self.num_steps = self.steps_per_epoch * params.epochs

        if params.init == "whitened" and warm_start is None:
            whiten_first_layer(model, train.images, metadata)
        distributed.broadcast_(model.state_dict().values())  # all start from the same weights
        self.networks = Networks(model, metadata.image_size, params, device, distributed)
        self.network, self.measured = self.networks.training, self.networks.measured
        self.validation_batch = VALIDATION_BATCH
        if device.type == "cuda":  # few large batches: without gradients, this many fit
            self.validation_batch = max(VALIDATION_BATCH, 4 * params.batch_size)
        self.augmentation = Augmentation(train.images, metadata.mean, metadata.std, params, device)
        if params.augmentation == "none":
            splits = self.networks.keep_outputs(
                self._forward, (self.train, self.val), self.validation_batch
            )
            self.train, self.val = (
                move_to_device(split, device, params.data_location) for split in splits
            )
        if warm_start:
            self.networks.match_parent(self._forward, self.train.images, self.validation_batch)
        self.optimizer = build_optimizer(
            self.network,
            num_copies(model, metadata.image_size),
            params,
            device_config.dtype,
            frozen=self.networks.frozen or (),
            fresh_layers=warm_start.fresh_layers if warm_start else (),
        )
        self.average = (
            ExponentialMovingAverage(self.network, params.ema_decay) if params.ema_decay else None
        )
        self.metrics = RunningMetrics(device)
        self.monitor = monitor or LayerMonitor(self.network)
        self.criterion = criterion or partial(cross_entropy, label_smoothing=params.label_smoothing)
        self.loader = Loader(self.train, params.batch_size, device, distributed)
        self.plan = EpochPlanner(self._plan_epoch, params.epochs)
        self.generator = default_generator(device)

        filters = FilterHistory(model, params.filter_snapshots, params.epochs)
        parts = self.network, self.optimizer, self.average, self.metrics, self.monitor, filters
        self.state = TrainingState(*parts)
        latest = checkpoints.load_latest() if checkpoints else None
        if self.state.restore(latest, distributed):
            log_resume(self)
        self.autosave = Autosave(self.state, checkpoints, params, distributed, self.steps_per_epoch)

        # On a GPU most of the step is compiled, and all of it replayed as a CUDA graph.
        self.compiled_loss = self.compute_loss
        if device_config.compiles:
            # With fixed shapes, and where it is deterministic with kernels that are chosen without
            # measuring, a resumed run computes the same.
            self.compiled_loss = torch.compile(
                self.compute_loss, dynamic=False, options={"deterministic": params.deterministic}
            )
        self.graphs: CUDAGraphStep | None = None
        if device.type == "cuda" and use_cuda_graph:
            self.graphs = CUDAGraphStep(self.train_step, lambda: self.monitor.is_recording)
        self.step_fn = wrap_step(self.graphs or self.train_step)

    def fit(self, on_epoch: OnEpoch) -> None:
        """Train to the end. Calls `on_epoch` after each epoch, those before a resume included.

        A complete run is not trained again. Raises UserError if the loss stops being finite, and
        TrainingInterrupted on a signal of `signals.SIGNALS`, after writing a checkpoint.
        """
        params, state = self.params, self.state
        log_run_header(self)
        for row in state.rows:
            on_epoch(row, math.nan)
        with self.autosave, self.graphs or nullcontext():
            for epoch in range(state.epoch, params.epochs):
                train_loss, train_accuracy = self.train_epoch(epoch)
                weights = self.result()
                val_loss, val_accuracy = self.validate(self.val, weights)
                state.filters.record(epoch + 1, weights)
                rate = params.learning_rate * schedule(state.step - 1, self.num_steps, params)
                row = Epoch(epoch + 1, rate, train_loss, train_accuracy, val_loss, val_accuracy)
                state.rows.append(row)
                state.layer_rows += self.monitor.rows(epoch + 1, self.distributed)
                on_epoch(row, state.epoch_seconds)
                state.complete_epoch()
            self.autosave.after_training()
        self.networks.finish(self.result())

    def train_epoch(self, epoch: int) -> tuple[float, float]:
        """One pass over the training images, in an order of its own: (mean loss, accuracy)."""
        params, state = self.params, self.state
        done = state.step - epoch * self.steps_per_epoch  # more than 0 after a resume
        start = last_log_time = time.perf_counter() - state.epoch_seconds
        self.network.train()
        with progress(f"epoch {epoch + 1}/{params.epochs}", self.steps_per_epoch, done) as advance:
            for batch in self.loader.epoch(self.plan(epoch), done):
                seed = seed_for(params.seed, "step", state.step, self.distributed.rank)
                self.generator.manual_seed(seed)
                set_learning_rate(self.optimizer, state.step, self.num_steps, params)
                with self.monitor.record_step((state.step + 1) % self.steps_per_epoch == 0):
                    self.step_fn(batch)
                state.step += 1
                now = time.perf_counter()
                state.epoch_seconds = now - start
                if now - last_log_time > LOG_INTERVAL_SECONDS:
                    last_log_time = now
                    advance(0, self._progress_text(epoch))
                advance(1)
                self.autosave.after_step()
        sums = self.distributed.all_gather(self.metrics.sums)
        check_finite(sums, epoch * self.steps_per_epoch)
        state.epoch_seconds = time.perf_counter() - start  # the device has finished by now
        return loss_and_accuracy(sums.sum(dim=0).tolist())

    def compute_loss(self, batch: Batch) -> Tensor:
        """The sum of the losses of a batch's images, augmented; adds it to the metrics."""
        images, labels, sampled = batch.gather()
        is_kept = self.networks.keeps_outputs
        x = images if is_kept else self.augmentation(images, sampled)  # (B, C, H, W)
        with self.device_config.autocast():
            logits = self.network(x)  #            (B, num_classes)
        targets = self.augmentation.targets(labels, sampled, num_classes=logits.shape[1])
        loss = self.criterion(logits, targets)
        self.metrics.add(logits, labels, loss)
        return loss

    def train_step(self, batch: Batch) -> None:
        """One step of gradient descent: logits and loss, zero_grad, backward, step."""
        is_full = batch.num_images == self.params.batch_size  # a shorter one is not compiled
        loss = self.compiled_loss(batch) if is_full else self.compute_loss(batch)
        self.optimizer.zero_grad()
        # The mean over the processes is then the mean over all images.
        (loss / (batch.num_images / self.distributed.world_size)).backward()
        self.distributed.average_(gradients_and_buffers(self.network))
        self.monitor.record_gradients()
        self.optimizer.step()
        if self.average:
            self.average.update()

    @torch.inference_mode()
    def validate(self, split: Split, weights: dict[str, Tensor]) -> tuple[float, float]:
        """(mean loss, accuracy) on images without augmentation, without label smoothing.

        weights: such as `result`. Their dead ReLUs are counted.
        """
        metrics = RunningMetrics(self.device)
        self.measured.eval()
        size, distributed = self.validation_batch, self.distributed
        with self.monitor.track_dead_relus():
            # The processes take the batches in turn.
            for start in range(distributed.rank * size, len(split), distributed.world_size * size):
                rows = slice(start, start + size)
                labels = split.labels[rows].to(self.device)
                logits = self._forward(self.measured, weights, split.images[rows])
                metrics.add(logits, labels, cross_entropy(logits, labels))
        sums = self.distributed.all_reduce_sum(metrics.sums)
        sums[FINITE_STEPS] = 0  # of batches that are no steps
        check_finite(sums[None], self.state.step)  # the last step may be the one that diverged
        return loss_and_accuracy(sums.tolist())

    @torch.inference_mode()
    def result(self) -> dict[str, Tensor]:
        """The weights of `self.measured` if the run ended now: averaged, if there is an average."""
        weights = self.state.result()
        if self.networks.normalised:
            forward = partial(self._forward, self.network, weights)
            arguments = self.train.images, self.validation_batch, self.distributed
            weights = fold(weights, exact_statistics(self.network, forward, *arguments))
        return weights

    def _forward(self, network: nn.Module, weights: dict[str, Tensor], images: Tensor) -> Tensor:
        """What a network gives for a split's images, without augmentation: (N, ...)."""
        if not self.networks.keeps_outputs:
            images = centre_crop(images, self.metadata.image_size).to(self.device)
            images = normalise(images, self.augmentation.mean, self.augmentation.std)
        with self.device_config.autocast():
            return functional_call(network, weights, (images.to(self.device),))

    def _progress_text(self, epoch: int) -> str:
        """The epoch's loss, accuracy and speed so far, in this process. Raises as check_finite."""
        sums = self.metrics.sums.cpu()
        check_finite(sums[None], epoch * self.steps_per_epoch)
        loss, accuracy = loss_and_accuracy(sums.tolist())
        speed = float(sums[COUNT]) * self.distributed.world_size / self.state.epoch_seconds
        return f"loss {loss:.3f}  accuracy {accuracy:.1%}  {speed:,.0f} images/s"

    def _plan_epoch(self, epoch: int) -> EpochPlan:
        order = epoch_order(len(self.train), self.params.seed, epoch)
        plan = EpochPlan(order, self.augmentation.sample(len(self.train), epoch))
        return plan.pin_memory() if self.device.type == "cuda" else plan
