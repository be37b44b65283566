"""What is logged before the first step, or instead of it."""

import logging
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import nn

from alexnet.network.freezing import frozen_layers
from alexnet.network.summary import num_parameters, summarize, totals, training_flops
from alexnet.progress import in_bytes
from alexnet.training.loader import Split, epoch_order

if TYPE_CHECKING:
    from alexnet.training.trainer import Trainer

logger = logging.getLogger(__name__)


def log_run_header(trainer: "Trainer") -> None:
    """Log what is about to run, and the loss before the first step.

    A fresh network knows nothing, so its loss should be near log(num_classes); a higher
    one means an initialisation that has to be unlearned first. Every process takes part.
    """
    for line in describe_run(trainer):
        logger.info(line)
    if trainer.state.step == 0:
        train, params = trainer.train, trainer.params
        order = epoch_order(len(train), params.seed, epoch=0)
        first = order[: params.batch_size].to(train.images.device)
        batch = Split(train.images[first], train.labels[first])
        loss, _ = trainer.validate(batch, trainer.result())
        num_classes = len(trainer.metadata.classes)
        logger.info(f"initial loss {loss:.3f}, log({num_classes}) = {math.log(num_classes):.3f}")


def log_resume(trainer: "Trainer") -> None:
    """Log from where a run resumes, in one line."""
    state = trainer.state
    if state.epoch < trainer.params.epochs:
        logger.info(f"resuming at step {state.step:,} of {trainer.num_steps:,}")
    else:
        logger.info(
            f"this run is complete already: its results are written from the checkpoint of step "
            f"{state.step:,}, without training (`alexnet checkpoints --prune` removes it)"
        )


def describe_run(trainer: "Trainer") -> Iterator[str]:
    """The lines: device, network, images and steps."""
    params, metadata = trainer.params, trainer.metadata
    layers = summarize(trainer.model, metadata.image_size)
    world_size = trainer.distributed.world_size
    processes = f", {world_size} processes" if world_size > 1 else ""
    yield f"device {trainer.device_config}{processes}"
    yield (
        f"variant {metadata.variant}: {num_parameters(trainer.model):,} parameters, "
        f"{totals(layers)['flops'] / 1e6:.2f} MFLOP an image forward, "
        f"{training_flops(layers) / 1e6:.2f} forward and backward"
    )
    frozen = frozen_layers(trainer.networks.frozen or nn.Sequential())
    if trainer.networks.collapses and "fc1" not in frozen:
        collapsed = num_parameters(trainer.networks.whole)
        yield f"fc1 trains without its copies: {collapsed:,} parameters"
    if trainer.warm_start:
        yield trainer.warm_start.describe()
    elif params.init == "whitened":
        yield "conv1 starts as filters that whiten the patches of the training images"
    if frozen:
        outputs = "is computed in each step"
        if trainer.networks.keeps_outputs:
            num_bytes = trainer.train.images.nbytes + trainer.val.images.nbytes
            outputs = f"was computed once ({in_bytes(num_bytes)})"
        trainable = num_parameters(trainer.measured)
        yield f"frozen: {', '.join(frozen)}; {trainable:,} parameters train"
        yield f"what the frozen layers give {outputs}"
    if params.augmentation == "none":
        yield "no augmentation (train.augmentation): its other parameters have no effect"
    if params.pretrained_lr_scale != 1 and trainer.warm_start:
        fresh = trainer.warm_start.fresh_layers
        trained = {name.partition(".")[0] for name, _ in trainer.model.named_parameters()}
        slowed = f"layers trained before learn at {params.pretrained_lr_scale:g} of the rates"
        if trained <= {*frozen, *fresh}:
            slowed = "train.pretrained_lr_scale has no effect: of the parent's layers none trains"
        yield slowed + (f"; {', '.join(fresh)} at the whole rate" if fresh else "")
    if normalised := trainer.networks.normalised:
        layers_named = ", ".join(normalised) if frozen else "each layer but the last"
        yield f"batch normalisation after {layers_named}, folded into it at the end"
    yield (
        f"{len(trainer.train):,} images, {params.batch_size} a step, "
        f"{trainer.steps_per_epoch} steps an epoch, {params.epochs} epochs"
    )
    if 1 / (1 - params.ema_decay) > trainer.num_steps:
        yield (
            f"train.ema_decay {params.ema_decay:g} averages over {1 / (1 - params.ema_decay):.0f} "
            f"steps, more than all {trainer.num_steps:,}: a lower one, or 0, may give more"
        )
