"""When a measurement begins and when it ends."""

import math
import time
from dataclasses import dataclass

import torch

from alexnet.errors import UserError

# Until memory is allocated and kernels are chosen; on a GPU the step is compiled as well,
# and recorded after a few that ran as they are written.
WARM_UP_STEPS = {"cpu": 3, "cuda": 8}


@dataclass(frozen=True)
class Budget:
    """How long one measurement takes: so many seconds at least, or exactly so many steps."""

    seconds: float
    steps: int | None = None

    def is_reached(self, seconds: float, steps: int) -> bool:
        return steps >= self.steps if self.steps else seconds >= self.seconds


class StopMeasuring(Exception):  # noqa: N818 (it is no error)
    """The measurement is complete; the training may end in the middle of an epoch."""


class StepTimer:
    """Called after each step, with its number of images; raises Enough in the end.

    The warm-up is not counted. The device is waited for before the first counted step and
    after the last one, not in between.
    """

    def __init__(self, limit: Budget, device: torch.device, num_steps: int) -> None:
        """Raises UserError if a training of `num_steps` is over before anything is measured."""
        self.limit, self.device = limit, device
        self.warm_up = WARM_UP_STEPS[device.type]  # steps left of it
        self.left = num_steps - self.warm_up
        if self.left < 1:
            raise UserError(
                f"{num_steps} steps are too few to measure: the first {self.warm_up} are the "
                "warm-up; use more images, a smaller --batch-size or more train.epochs"
            )
        self.start = math.nan
        self.images, self.steps, self.seconds = 0, 0, 0.0

    def __call__(self, num_images: int) -> None:
        if self.warm_up:
            self.warm_up -= 1
            if not self.warm_up:
                self.start = now(self.device)
            return
        self.images += num_images
        self.steps += 1
        self.left -= 1
        if not self.left or self.limit.is_reached(time.perf_counter() - self.start, self.steps):
            self.seconds = now(self.device) - self.start
            raise StopMeasuring


def now(device: torch.device) -> float:
    """Seconds, once the device has done all that it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
