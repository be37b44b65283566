"""Distributed training: several processes train one network, each on its shard of every batch.

`torchrun` starts them and gives each its rank. The batches are the same images in the same
order for any number of processes, and gradients are averaged over all of them in one all-reduce a
step, so that the result is the same up to rounding.
"""

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from alexnet.signals import terminate_with_parent
from alexnet.training.peers import find_absent, give_up, mark_present

# The slowest that a process does while the others wait is to compile, which takes a minute or two.
TIMEOUT_SECONDS = 300.0
LAUNCHER_PID = "ALEXNET_LAUNCHER_PID"  # the process that `launch` runs in


@dataclass(frozen=True)
class DistributedContext:
    """This process among those that train together; alone, rank 0 of 1."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0  # on this host
    store: dist.Store | None = field(default=None, compare=False, repr=False)  # torchrun's

    @property
    def is_main_process(self) -> bool:
        """Whether this process writes files and logs."""
        return self.rank == 0

    def shard(self, num_images: int) -> slice:
        """This process's images of a batch: whole pairs, except for an odd last image.

        CutMix mixes two neighbours of a batch, so they stay in one process. The shards of two
        processes differ by at most two images.
        """
        pairs = (num_images + 1) // 2
        first, end = (rank * pairs // self.world_size * 2 for rank in (self.rank, self.rank + 1))
        return slice(first, min(end, num_images))

    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each floating-point tensor by its mean over the processes: one all-reduce."""
        if self.world_size == 1:
            return
        # In the order in which they lie in memory, so that no value is moved.
        values = [tensor.as_strided((tensor.numel(),), (1,)) for tensor in tensors]
        flat = torch.cat(values)
        dist.all_reduce(flat)
        flat /= self.world_size
        torch._foreach_copy_(values, flat.split([len(value) for value in values]))

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, in each of them; alone, the tensor itself."""
        if self.world_size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def all_gather(self, tensor: Tensor) -> Tensor:
        """(world_size, ...): the tensors of all processes by rank, in each of them."""
        if self.world_size == 1:
            return tensor[None]
        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor)
        return torch.stack(parts)

    def broadcast_(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite the tensors of all processes with those of the main process."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def all_reduce_max(self, *numbers: int) -> list[int]:
        """The highest of each number over the processes, in each of them."""
        if self.world_size == 1:
            return list(numbers)
        result = torch.tensor(numbers)
        dist.all_reduce(result, dist.ReduceOp.MAX)
        return result.tolist()


SINGLE_PROCESS = DistributedContext()


def gradients_and_buffers(network: nn.Module) -> list[Tensor]:
    """What each process computes from its own images: all else it has in common with the others.

    Buffers are running statistics, such as those of a batch normalisation.
    """
    gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    return gradients + [buffer for buffer in network.buffers() if buffer.is_floating_point()]


def started_by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def init_distributed(
    device: torch.device, timeout_seconds: float = TIMEOUT_SECONDS
) -> DistributedContext:
    """Join the processes that torchrun has started; SINGLE_PROCESS if it started none.

    From then on the main process alone logs what is no error, and an operation in which another
    process does not take part raises RuntimeError after `timeout_seconds`. If one does not join by
    then, this process ends with a message that names it.
    """
    if not started_by_torchrun():
        return SINGLE_PROCESS
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank = int(os.environ["LOCAL_RANK"])
    # When torchrun is killed, nobody else stops this process. It may have been while torch was
    # imported here; `launch` says whom to look for.
    launcher = os.environ.get(LAUNCHER_PID)
    terminate_with_parent(int(launcher) if launcher else None)
    if rank != 0:
        logging.getLogger("alexnet").setLevel(logging.ERROR)
    if world_size == 1:
        return DistributedContext(rank, world_size, local_rank)
    timeout = timedelta(seconds=timeout_seconds)
    store, *_ = next(dist.rendezvous("env://", timeout=timeout))
    mark_present(store, "joined", rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group(
            # gloo carries the flags that are exchanged without stopping the device.
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=store,
            rank=rank,
            world_size=world_size,
            timeout=timeout,
        )
    except dist.DistStoreError as error:
        give_up(find_absent(store, "joined", world_size), rank, world_size, error)
    return DistributedContext(rank, world_size, local_rank, store)


def destroy_distributed(distributed: DistributedContext) -> None:
    if distributed.world_size > 1:
        dist.destroy_process_group()
