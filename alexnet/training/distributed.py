"""Several processes that train one network, each on its share of every batch.

`torchrun` starts them and tells each its number (`RANK`); alone, a process is number
0 of 1. A batch is the same images in the same order however many share it, and the
gradients are averaged over all of them, so that the result is the same up to rounding.
"""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from alexnet.errors import UserError
from alexnet.signals import TrainingInterrupted, terminate_with_parent


@dataclass(frozen=True)
class DistributedContext:
    """This process among those that train together."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0  # on this machine

    @property
    def is_main_process(self) -> bool:
        """Whether this one writes and speaks for all."""
        return self.rank == 0

    def shard(self, num_images: int) -> slice:
        """Which images of a batch are this one's: whole pairs, but for an odd last image.

        Neighbours may trade a part of their pictures, so they stay together. The shares
        differ by at most two images.
        """
        pairs = (num_images + 1) // 2
        first, end = (rank * pairs // self.world_size * 2 for rank in (self.rank, self.rank + 1))
        return slice(first, min(end, num_images))

    def wrap_ddp(self, network: nn.Module) -> nn.Module:
        """The network, averaging its gradients over the processes in `backward`."""
        if self.world_size == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, gradient_as_bucket_view=True)

    def all_reduce_sum(self, tensor: Tensor) -> Tensor:
        """The sum over the processes, on each of them."""
        return self.all_gather(tensor).sum(dim=0)

    def all_gather(self, tensor: Tensor) -> Tensor:
        """(world_size, ...): everyone's tensor, on each of them."""
        if self.world_size == 1:
            return tensor[None]
        parts = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(parts, tensor)
        return torch.stack(parts)

    def broadcast_(self, tensors: Iterable[Tensor]) -> None:
        """Give everyone the first one's values, in place."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def all_reduce_max(self, number: int) -> int:
        """The highest of everyone's numbers, on each of them."""
        if self.world_size == 1:
            return number
        result = torch.tensor(number)
        dist.all_reduce(result, dist.ReduceOp.MAX)
        return int(result)


SINGLE_PROCESS = DistributedContext()


def init_distributed(device: torch.device) -> DistributedContext:
    """Meet the others that torchrun has started; alone if it did not start this process."""
    if not started_by_torchrun():
        return SINGLE_PROCESS
    distributed = DistributedContext(
        int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    )
    terminate_with_parent()  # when torchrun is killed, nobody else stops this process
    if distributed.world_size > 1:
        if device.type == "cuda":
            torch.cuda.set_device(device)
        # gloo carries the flags that are exchanged each step without stopping the device.
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return distributed


def destroy_distributed(distributed: DistributedContext) -> None:
    if distributed.world_size > 1:
        dist.destroy_process_group()


def is_peer_failure(error: RuntimeError) -> bool:
    """Whether an error says only that another process has ended, and not why."""
    return any(sign in str(error) for sign in ("gloo/transport", "ncclRemoteError"))


def started_by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def resolve_world_size(wanted: int | str, device: torch.device) -> int:
    """How many processes to start on this machine: `auto` is one for each GPU, one on a CPU.

    Raises UserError if more are wanted than there are devices (on a CPU: cores).
    """
    on_gpu = device.type == "cuda"
    available = torch.cuda.device_count() if on_gpu else len(os.sched_getaffinity(0))
    if wanted == "auto":
        return available if on_gpu else 1
    if int(wanted) > available:
        raise UserError(
            f"train.num_processes: {wanted} are asked for, but there are {available} "
            f"{'CUDA GPUs' if on_gpu else 'processor cores'} here"
        )
    return int(wanted)


def launch(num_processes: int, command: Sequence[str]) -> None:
    """Run `python COMMAND` in several processes on this machine, and wait for all of them.

    All are stopped when one fails. Raises UserError with the first failure's process
    and message, and Interrupted if this process was told to stop, and all have.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # What it logs (a signal, a failure, each with its traceback) is said below in a line.
    for name in logging.root.manager.loggerDict:
        if name.startswith(("torch.distributed.elastic", "torch.distributed.launcher")):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)

    # Each process takes its part of the cores, where nothing else was asked for.
    threads = max(1, len(os.sched_getaffinity(0)) // num_processes)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    with tempfile.TemporaryDirectory() as scratch:  # by itself it would leave one behind
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_processes,
            run_id="alexnet",
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            max_restarts=0,
            monitor_interval=0.2,
            logs_specs=DefaultLogsSpecs(scratch),
        )
        try:
            elastic_launch(config, sys.executable)(*command)
        except SignalException as error:
            raise TrainingInterrupted(error.sigval, f"with its {num_processes} processes") from None
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            code = failure.exitcode
            if code < 0:
                why = f"was ended by {signal.Signals(-code).name}"
            else:
                why = f"failed (exit code {code}; what it said stands above)"
            raise UserError(
                f"process {rank} of {num_processes} {why}, and the others were stopped"
            ) from None
