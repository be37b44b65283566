"""Steps by the clock, and processes of their own."""

import math

import pytest
import torch

from alexnet.errors import UserError
from bench.measure import (
    WARM_UP_STEPS,
    Budget,
    StepTimer,
    StopMeasuring,
    peak_memory,
    run_in_subprocess,
)

from .conftest import CPU

WARM_UP = WARM_UP_STEPS["cpu"]


def run_until_stopped(timer: StepTimer, images: int = 7) -> int:
    """The number of steps."""
    for step in range(1, 1000):
        try:
            timer(images)
        except StopMeasuring:
            return step
    raise AssertionError("it does not stop")


def test_the_warm_up_is_not_counted():
    timer = StepTimer(Budget(math.inf, steps=4), CPU, num_steps=100)
    assert run_until_stopped(timer) == WARM_UP + 4
    assert (timer.steps, timer.images) == (4, 28)
    assert timer.seconds > 0


def test_a_budget_of_seconds_ends_with_a_whole_step(monkeypatch):
    timer = StepTimer(Budget(seconds=1.0), CPU, num_steps=100)
    seconds = iter(n * 0.3 for n in range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: next(seconds))
    run_until_stopped(timer)
    assert timer.steps == 4
    assert timer.host_seconds == pytest.approx(1.2)
    assert timer.seconds == pytest.approx(1.8)  # two readings more, at the end


def test_the_last_step_of_the_training_ends_the_measurement():
    timer = StepTimer(Budget(math.inf), CPU, num_steps=WARM_UP + 2)
    assert run_until_stopped(timer) == WARM_UP + 2
    assert timer.steps == 2


def test_a_training_shorter_than_the_warm_up_is_an_error():
    with pytest.raises(UserError, match=f"{WARM_UP} steps are too few to measure"):
        StepTimer(Budget(1.0), CPU, num_steps=WARM_UP)


@pytest.mark.slow
def test_a_subprocess_has_a_memory_of_its_own():
    """Its peak does not start at the parent's level, as getrusage's does."""
    ballast = torch.ones(100_000_000)  # 400 MB
    assert ballast.nbytes < peak_memory(CPU) - 100e6
    assert run_in_subprocess(peak_memory, CPU) < peak_memory(CPU) - 300e6


def _fail() -> None:
    raise UserError("no")


@pytest.mark.slow
def test_an_exception_in_a_subprocess_is_raised_here():
    with pytest.raises(UserError, match="no"):
        run_in_subprocess(_fail)
