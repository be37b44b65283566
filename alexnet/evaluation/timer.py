"""Time on the device that computes: by CUDA events on a GPU, else by the clock."""

import itertools
import time

import torch


class DeviceTimer:
    """Marks between pieces of work, and the seconds that the device took from each to the next.

    A mark does not wait for the device. The clock alone would measure how long a GPU's work
    takes to launch, or, if it waited at each mark, how long the waiting takes as well.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.events: list[torch.cuda.Event] = []
        self.times: list[float] = []

    def mark(self) -> None:
        if self.device.type == "cuda":
            self.events.append(torch.cuda.Event(enable_timing=True))
            self.events[-1].record(torch.cuda.current_stream(self.device))
        else:
            self.times.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Between consecutive marks; waits for the device, and forgets the marks."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        between = [1e-3 * a.elapsed_time(b) for a, b in itertools.pairwise(self.events)]
        between += [b - a for a, b in itertools.pairwise(self.times)]
        self.events, self.times = [], []
        return between
