"""What is logged before the first step."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from alexnet.network.summary import num_parameters, summarize, totals, training_flops

if TYPE_CHECKING:
    from alexnet.training.trainer import Trainer


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
    if trainer.collapses:
        collapsed = num_parameters(trainer.network)
        yield f"fc1 trains without its copies: {collapsed:,} trainable parameters"
    yield (
        f"{len(trainer.train):,} images, {params.batch_size} a step, "
        f"{trainer.steps_per_epoch} steps an epoch, {params.epochs} epochs"
    )
