"""How to measure: whole steps by the clock, and memory in a process of its own.

This module imports torch only where it is used: a process that measures onnxruntime does
without torch's memory.
"""

import contextlib
import math
import multiprocessing
import os
import re
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from alexnet.errors import UserError

if TYPE_CHECKING:
    import torch

P = ParamSpec("P")
R = TypeVar("R")

# Until memory is allocated and kernels are chosen. A compiled loop on a GPU takes longer: see
# `bench.loops.warm_up_steps`.
WARM_UP_STEPS = {"cpu": 3, "cuda": 8}

SAMPLING_SECONDS = 0.05  # of memory


@dataclass(frozen=True)
class Budget:
    """The length of one measurement: a minimum of seconds, or an exact number of steps."""

    seconds: float
    steps: int | None = None

    def is_reached(self, seconds: float, steps: int) -> bool:
        return steps >= self.steps if self.steps else seconds >= self.seconds


class StopMeasuring(Exception):  # noqa: N818 (it is no error)
    """The measurement is complete; training may stop in the middle of an epoch."""


class StepTimer:
    """Called after each step with its number of images; raises StopMeasuring at the end.

    The warm-up is not counted. The device is synchronised before the first counted step and
    after the last one, not in between. Then `seconds` is what passed by the clock,
    `device_seconds` the same by CUDA events on a GPU, and `host_seconds` what passed until the
    last step was launched: if it is much less, the host ran ahead of the device.
    """

    def __init__(
        self, budget: Budget, device: "torch.device", num_steps: int, warm_up: int | None = None
    ) -> None:
        """Raises UserError if a training of `num_steps` steps ends within the warm-up."""
        from alexnet.evaluation.timer import DeviceTimer

        self.budget, self.device = budget, device
        self.warm_up = warm_up or WARM_UP_STEPS[device.type]  # remaining steps of it
        self.remaining = num_steps - self.warm_up
        if self.remaining < 1:
            raise UserError(
                f"{num_steps} steps are too few to measure: the first {self.warm_up} are the "
                "warm-up; use more images, a smaller --batch-size or more train.epochs"
            )
        self.start = math.nan
        self.device_timer = DeviceTimer(device)
        self.images, self.steps = 0, 0
        self.seconds = self.host_seconds = self.device_seconds = 0.0

    def __call__(self, num_images: int) -> None:
        if self.warm_up:
            self.warm_up -= 1
            if not self.warm_up:
                self.device_timer.mark()
                self.start = now(self.device)
            return
        self.images += num_images
        self.steps += 1
        self.remaining -= 1
        elapsed = time.perf_counter() - self.start
        if not self.remaining or self.budget.is_reached(elapsed, self.steps):
            self.device_timer.mark()
            self.host_seconds = elapsed
            self.seconds = now(self.device) - self.start
            self.device_seconds = self.device_timer.seconds()[0]
            raise StopMeasuring


def now(device: "torch.device") -> float:
    """The clock in seconds, once the device has finished its work."""
    if device.type == "cuda":
        import torch

        torch.cuda.synchronize(device)
    return time.perf_counter()


def run_in_subprocess(function: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
    """Call the function in a fresh process; returns its result or raises its exception."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **named).result()


@dataclass(frozen=True)
class Usage:
    """What a call took, of its process and of those that it started."""

    seconds: float
    cpu_seconds: float  # of all processes
    peak_bytes: int  # memory of their own, without pages of files, of all at once


def measure_usage(
    limit_bytes: int | None, function: Callable[P, object], *arguments: P.args, **named: P.kwargs
) -> Usage:
    """Call the function in a fresh process, whose modules are loaded before.

    limit_bytes: of memory of its own, for that process and for each that it starts.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pid = pool.submit(os.getpid).result()
        peak = private_bytes(pid)  # a call may end before the first sample
        call = pool.submit(_timed, limit_bytes, partial(function, *arguments, **named))
        while not call.done():
            peak = max(peak, private_bytes(pid))
            wait([call], SAMPLING_SECONDS)
        return Usage(*call.result(), peak)


def _timed(limit_bytes: int | None, function: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of the processor."""
    if limit_bytes:
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
    before, start = os.times(), time.perf_counter()
    function()
    seconds, after = time.perf_counter() - start, os.times()
    return seconds, sum(after[:4]) - sum(before[:4])


def private_bytes(pid: int) -> int:
    """Resident memory without pages of files, of a process and of all below it."""
    parents, private = {}, {}
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError, KeyError):  # a process that ends, or has no memory
            fields = dict(line.split(":", 1) for line in status.read_text().splitlines())
            number = int(fields["Pid"])
            private[number] = 1024 * int(fields["RssAnon"].removesuffix("kB"))
            parents[number] = int(fields["PPid"])
    family = [pid]
    for each in family:  # which grows
        family += [child for child, parent in parents.items() if parent == each]
    return sum(private.get(each, 0) for each in family)


def peak_memory(device: "torch.device") -> int:
    """The peak so far in bytes: of tensors on a GPU, else resident memory of this process."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    return peak_resident_bytes()


def peak_resident_bytes() -> int:
    """The peak of this process's resident memory."""
    # getrusage does not do: its peak starts at the level of the parent process.
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def processor() -> str:
    """Its name and the number of usable cores."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{found[1] if found else os.uname().machine}, {len(os.sched_getaffinity(0))} cores"
