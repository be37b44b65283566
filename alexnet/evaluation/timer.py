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
        self.marks: list[float | torch.cuda.Event] = []

    def mark(self) -> None:
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self.device))
            self.marks.append(event)
        else:
            self.marks.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Between consecutive marks; waits for the device, and forgets the marks."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        marks, self.marks = self.marks, []
        return [_between(a, b) for a, b in itertools.pairwise(marks)]


def _between(start: "float | torch.cuda.Event", end: "float | torch.cuda.Event") -> float:
    if isinstance(start, float):
        assert isinstance(end, float)
        return end - start
    return 1e-3 * start.elapsed_time(end)
