"""A function's result from a fresh process, and how much memory that took."""

import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:  # a process that measures something else does without its memory
    import torch

P = ParamSpec("P")
R = TypeVar("R")


def run_in_subprocess(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """What the function returns, or raises, in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **named).result()


def peak_memory(device: "torch.device") -> int:
    """The most bytes so far: on a GPU those of tensors, else resident ones of this process."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    return resident_peak()


def resident_peak() -> int:
    """The most bytes of this process that were in memory at a time."""
    # getrusage would do, but it starts from the level of the process that started this one.
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])
