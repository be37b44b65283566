"""Batches, in the order of the epoch, where the training computes.

Resident: the whole split lies on the device as uint8 (CIFAR-10: 138 MB), and a batch is a
gather there. Streamed: it stays in the host's memory, or mapped from disk, and each
batch is sent while the step before it computes. The batches are bitwise the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet.seeding import generator_for
from alexnet.training.augmentation import AugmentationParams
from alexnet.training.distributed import DistributedContext


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, H, W, C) and labels int64 (N)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Batch:
    """Images uint8 (B, H, W, C), labels int64 (B), and how each image is augmented.

    The sum of the images' losses is divided by `loss_divisor`: the number of the step's
    images on all processes, divided by the number of processes, which average their gradients.
    """

    images: Tensor
    labels: Tensor
    augmentation_params: AugmentationParams
    loss_divisor: float

    def tensors(self) -> list[Tensor]:
        return [self.images, self.labels, self.augmentation_params.values]

    def clone(self) -> "Batch":
        params = self.augmentation_params.clone()
        return Batch(self.images.clone(), self.labels.clone(), params, self.loss_divisor)

    def pin_memory(self) -> "Batch":
        params = self.augmentation_params.pin_memory()
        return Batch(self.images.pin_memory(), self.labels.pin_memory(), params, self.loss_divisor)

    def to(self, device: torch.device) -> "Batch":
        """Without waiting for what is pinned."""
        return Batch(
            self.images.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.augmentation_params.to(device, non_blocking=True),
            self.loss_divisor,
        )


def epoch_order(num_images: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in an epoch: a permutation, int64 (num_images)."""
    return torch.randperm(num_images, generator=generator_for(seed, "order", epoch))


SHARE_OF_FREE_MEMORY = 0.5  # the rest is for the network and what it computes


def move_to_device(split: Split, device: torch.device, wanted: str) -> Split:
    """The split on the device (`auto`: if half of its free memory is enough) or as it is."""
    if wanted == "auto" and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        wanted = "device" if split.images.nbytes < SHARE_OF_FREE_MEMORY * free else "host"
    return split if wanted == "host" else split.to(device)


def batches(
    split: Split,
    augmentation_params: AugmentationParams,
    order: Sequence[Tensor],
    device: torch.device,
    distributed: DistributedContext,
) -> Iterator[Batch]:
    """This process's shard of a batch, on `device`, for each of `order`'s index tensors.

    `order` and `augmentation_params`, a row for each image of the split, lie on the CPU;
    the split lies on the device or on the CPU.
    """
    resident = split.images.device == device
    if resident:  # all at once, so that no step waits for its part
        augmentation_params = augmentation_params.to(device)
        order = [step.to(device) for step in order]

    def gather(step: Tensor) -> Batch:
        index = step[distributed.shard(len(step))].to(split.images.device)
        params = augmentation_params.index_select(index)
        loss_divisor = len(step) / distributed.world_size
        return Batch(split.images[index], split.labels[index], params, loss_divisor)

    if resident:
        return map(gather, order)
    return _streamed(map(gather, order), device)


def _streamed(host_batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """One batch ahead: while the device computes a step, the next batch is on its way."""
    stream = torch.cuda.Stream(device)

    def prefetch(batch: Batch | None) -> Batch | None:
        with torch.cuda.stream(stream):
            return batch and batch.pin_memory().to(device)

    next_batch = prefetch(next(host_batches, None))
    while next_batch is not None:
        batch, now = next_batch, torch.cuda.current_stream(device)
        now.wait_stream(stream)
        for tensor in batch.tensors():
            tensor.record_stream(now)
        yield batch  # when asked for the next one, the step on this one is under way
        next_batch = prefetch(next(host_batches, None))
