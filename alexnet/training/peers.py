"""What a process does when another one of its training has ended, or hangs.

Each that notices puts itself on a list in torchrun's store, which outlives the processes.
Whoever is not on it does not answer, and the first of the others names it.
"""

import logging
import os
import sys
import threading
import time
from typing import NoReturn

import torch.distributed as dist

# By so much one process may begin a step later than another one, and so notice later that a third
# hangs. torchrun notices sooner that one has ended, and ends the others.
ANSWER_SECONDS = 10.0
# What gloo and NCCL say when a process does not answer, or has closed its connection. NCCL's other
# errors (ncclInvalidUsage, ncclUnhandledCudaError) are this process's own.
MESSAGES = (
    "gloo/transport",
    "ncclRemoteError",
    "ncclSystemError",
    "NCCL communicator was aborted",
    "NCCL operation timed out",
    "NCCL timeout in",
    "Watchdog caught collective operation timeout",
    "retrieving ncclUniqueId",
)

logger = logging.getLogger(__name__)


def is_peer_failure(error: RuntimeError) -> bool:
    """Whether an error says only that another process has ended or hangs, and not why."""
    if isinstance(error, dist.DistStoreError | dist.DistNetworkError):
        return True
    return any(message in str(error) for message in MESSAGES)


def mark_present(store: dist.Store, name: str, rank: int) -> None:
    """Put this process on a list that all of them see."""
    store.set(f"alexnet/{name}/{rank}", "")


def find_absent(store: dist.Store, name: str, world_size: int) -> list[int]:
    """The ranks that are not on the list."""
    return [rank for rank in range(world_size) if not store.check([f"alexnet/{name}/{rank}"])]


def find_silent(store: dist.Store, rank: int, world_size: int) -> list[int]:
    """The ranks that do not notice within ANSWER_SECONDS that one is lost, as this one has.

    The process group is closed meanwhile, so that those who wait for this process notice at once;
    by a thread, as NCCL may wait for the device, which waits for the lost process.
    """
    mark_present(store, "lost", rank)
    threading.Thread(target=dist.destroy_process_group, daemon=True).start()
    end = time.monotonic() + ANSWER_SECONDS
    while len(silent := find_absent(store, "lost", world_size)) > 0 and time.monotonic() < end:
        time.sleep(0.1)
    return silent


def end_after_peer_failure(
    store: dist.Store, rank: int, world_size: int, error: RuntimeError
) -> NoReturn:
    """End this process, which has lost another one, with one line that names it."""
    error.__traceback__ = None  # its frames hold the process group, which then does not close
    try:
        silent = find_silent(store, rank, world_size)
    except RuntimeError:  # the store is lost as well, and with it the host of rank 0
        silent = []
    give_up(silent, rank, world_size, error)


def give_up(silent: list[int], rank: int, world_size: int, error: RuntimeError) -> NoReturn:
    """End this process; the first one that answers says why, in one line.

    At once, without Python's own end: it would wait for the device, which waits for the others.
    """
    if rank == min(set(range(world_size)) - set(silent)):
        if silent:
            who = (
                f"process {', '.join(map(str, silent))} does not answer: it has ended, or it hangs"
            )
        else:
            who = "the connection to the others is lost"
        # After these words NCCL and the store append a trace of their C++ code.
        reason = " ".join(str(error).split("Exception raised from")[0].split())
        logger.error(f"process {rank} of {world_size} gives up; {who} ({reason})")
    else:
        time.sleep(ANSWER_SECONDS)  # torchrun ends this process before, having seen the other one
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
