"""Batches, in the order of the epoch, where the training computes.

Resident: the whole split lies on the device as uint8 (CIFAR-10: 138 MB), and a step gathers its
images there, by their rows. Streamed: the split stays in the host's memory, or mapped from
disk, and each batch is sent while the step before it computes. The images, their order and
their augmentation are the same.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from alexnet import config
from alexnet.errors import UserError
from alexnet.progress import progress
from alexnet.seeding import generator_for
from alexnet.training.distributed import DistributedContext


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, H, W, C), or what frozen layers give for them, and labels int64 (N)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Batch:
    """What a step reads: the rows `index` of images, labels and their random numbers.

    Resident, these are the rows of the whole split; streamed, of the step's images alone.
    """

    images: Tensor  # uint8 (N, H, W, C), or what frozen layers give for them
    labels: Tensor  # int64 (N)
    sampled: Tensor  # float32 (N, columns): the augmentation's random numbers
    index: Tensor  # int64 (B): this process's images of the step
    num_images: int  # of the step, on all processes

    def tensors(self) -> list[Tensor]:
        return [self.images, self.labels, self.sampled, self.index]

    def gather(self) -> tuple[Tensor, Tensor, Tensor]:
        """The step's images (B, ...), labels (B) and random numbers (B, columns)."""
        return self.images[self.index], self.labels[self.index], self.sampled[self.index]


@dataclass(frozen=True)
class EpochPlan:
    """All that is random about the images of an epoch, on the CPU."""

    order: Tensor  # int64 (num_images): a permutation
    sampled: Tensor  # float32 (num_images, columns): the augmentation's, a row for each image

    def pin_memory(self) -> "EpochPlan":
        return EpochPlan(self.order.pin_memory(), self.sampled.pin_memory())


class EpochPlanner:
    """Makes each epoch's plan in a thread, while the epoch before it trains."""

    def __init__(self, make_plan: Callable[[int], EpochPlan], num_epochs: int) -> None:
        self.make_plan, self.num_epochs = make_plan, num_epochs
        self.next_plan: tuple[int, Future[EpochPlan]] | None = None

    def __call__(self, epoch: int) -> EpochPlan:
        if self.next_plan and self.next_plan[0] == epoch:
            plan = self.next_plan[1].result()
        else:
            plan = self.make_plan(epoch)
        if epoch + 1 < self.num_epochs:
            thread = ThreadPoolExecutor(max_workers=1)
            self.next_plan = epoch + 1, thread.submit(self.make_plan, epoch + 1)
            thread.shutdown(wait=False)  # it ends once the plan is made
        return plan


def require_batches(num_images: int, params: config.Train) -> None:
    """Raises UserError if a batch has more than all images, or the last one a single image."""
    size = params.batch_size
    if size > num_images:
        raise UserError(f"train.batch_size: {size} is more than the {num_images} training images")
    if params.normalises and num_images % size == 1:
        raise UserError(
            f"train.batch_size: {size} leaves one of the {num_images} training images for the last "
            "step of an epoch, where batch normalisation has nothing to normalise over; change it"
        )


def epoch_order(num_images: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in an epoch: a permutation, int64 (num_images)."""
    return torch.randperm(num_images, generator=generator_for(seed, "order", epoch))


def evenly_spaced(num_images: int, wanted: int) -> Tensor:
    """Rows of at most `wanted` of the images, over all of them, in order: int64 (number)."""
    number = min(num_images, wanted)
    return torch.arange(number) * num_images // number


KEPT_BYTES = 8 << 30  # of what frozen layers give, in all processes; more is computed in each step
SHARE_OF_FREE_MEMORY = 0.5  # the rest is for the network and what it computes


def move_to_device(split: Split, device: torch.device, wanted: str) -> Split:
    """The split on the device (`auto`: if half of its free memory is enough) or as it is."""
    if wanted == "auto" and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        wanted = "device" if split.images.nbytes < SHARE_OF_FREE_MEMORY * free else "host"
    return split if wanted == "host" else split.to(device)


class Loader:
    """Yields the batches of an epoch, this process's shard of each, on `device`.

    Batches of the same number of images are the same tensors, filled anew, so that a CUDA graph
    finds each batch where it was captured. A batch is valid until the next one is asked for.
    """

    def __init__(
        self, split: Split, batch_size: int, device: torch.device, distributed: DistributedContext
    ) -> None:
        """split: on the device (resident) or on the CPU (streamed)."""
        self.split, self.batch_size = split, batch_size
        self.device, self.distributed = device, distributed
        self.batches: dict[int, Batch] = {}  # by the number of images of a step
        self.sampled: Tensor | None = None  # of the present epoch, resident

    def epoch(self, plan: EpochPlan, first_step: int = 0) -> Iterator[Batch]:
        """The batches of the epoch's steps from `first_step` on."""
        is_resident = self.split.images.device == self.device
        return (self._resident if is_resident else self._streamed)(plan, first_step)

    def _resident(self, plan: EpochPlan, first_step: int) -> Iterator[Batch]:
        # All of the plan is sent at once, so that no step waits for its part.
        if self.sampled is None:
            self.sampled = torch.empty_like(plan.sampled, device=self.device)
        self.sampled.copy_(plan.sampled, non_blocking=True)
        order = plan.order.to(self.device, non_blocking=True)
        for step in order.split(self.batch_size)[first_step:]:
            index = step[self.distributed.shard(len(step))]
            if len(step) not in self.batches:
                images, labels = self.split.images, self.split.labels
                memory = torch.empty_like(index)
                self.batches[len(step)] = Batch(images, labels, self.sampled, memory, len(step))
            batch = self.batches[len(step)]
            batch.index.copy_(index)
            yield batch

    def _streamed(self, plan: EpochPlan, first_step: int) -> Iterator[Batch]:
        """One batch ahead: while the device computes a step, the next batch is on its way."""
        stream = torch.cuda.Stream(self.device)
        steps = iter(plan.order.split(self.batch_size)[first_step:])

        def send_next() -> Batch | None:
            step = next(steps, None)
            if step is None:
                return None
            index = step[self.distributed.shard(len(step))]
            sources = self.split.images, self.split.labels, plan.sampled
            gathered = [gather_pinned(tensor, index) for tensor in sources]
            with torch.cuda.stream(stream):
                images, labels, sampled = (
                    tensor.to(self.device, non_blocking=True) for tensor in gathered
                )
                every_row = torch.arange(len(index), device=self.device)
                return Batch(images, labels, sampled, every_row, len(step))

        sent = send_next()
        while sent is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_stream(stream)
            batch = self.batches.setdefault(sent.num_images, sent)
            for target, tensor in zip(batch.tensors(), sent.tensors(), strict=True):
                tensor.record_stream(current)
                if batch is not sent:
                    target.copy_(tensor)
            yield batch  # when asked for the next one, the step on this one is under way
            sent = send_next()


def gather_pinned(x: Tensor, index: Tensor) -> Tensor:
    """x[index] in pinned memory, from which it is sent while nothing waits for it.

    PyTorch keeps such memory, and gives it out again once it has been sent. `index_select` copies
    whole rows: an eighth of the time of `x[index]`, which copies value by value.
    """
    rows = torch.empty(len(index), *x.shape[1:], dtype=x.dtype, pin_memory=True)
    return torch.index_select(x, 0, index, out=rows)


@torch.no_grad()
def kept_outputs(
    forward: Callable[[Tensor], Tensor],
    splits: Sequence[Split],
    batch_size: int,
    num_processes: int = 1,
) -> list[Split] | None:
    """What frozen layers give for the images of each split, in their place, on the CPU.

    Of images that are not augmented it is the same in each epoch. forward: of a batch of a split's
    images. None if all of it takes more than KEPT_BYTES: each process keeps all of it.
    """
    one = forward(splits[0].images[:1]).cpu()
    num_images = sum(map(len, splits))
    if num_processes * one.nbytes * num_images > KEPT_BYTES:
        return None
    kept = []
    with progress("frozen layers", num_images) as advance:
        for split in splits:
            outputs = one.new_empty(len(split), *one.shape[1:])
            for rows, images in zip(
                outputs.split(batch_size), split.images.split(batch_size), strict=True
            ):
                rows.copy_(forward(images))
                advance(len(rows))
            kept.append(Split(outputs, split.labels.cpu()))
    return kept
