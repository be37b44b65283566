"""What counts and when it is enough."""

import math

import pytest

from alexnet.errors import UserError
from bench.clock import WARM_UP_STEPS, Budget, StepTimer, StopMeasuring

from .conftest import CPU

WARM_UP = WARM_UP_STEPS["cpu"]


def steps_until_enough(clock: StepTimer, images: int = 7) -> int:
    for step in range(1, 1000):
        try:
            clock(images)
        except StopMeasuring:
            return step
    raise AssertionError("never enough")


def test_the_warm_up_is_not_counted():
    clock = StepTimer(Budget(math.inf, steps=4), CPU, num_steps=100)
    assert steps_until_enough(clock) == WARM_UP + 4
    assert (clock.steps, clock.images) == (4, 28)
    assert clock.seconds > 0


def test_seconds_end_with_a_whole_step(monkeypatch):
    clock = StepTimer(Budget(seconds=1.0), CPU, num_steps=100)
    seconds = iter(n * 0.3 for n in range(1000))
    monkeypatch.setattr("time.perf_counter", lambda: next(seconds))
    steps_until_enough(clock)
    assert clock.steps == 4
    assert clock.seconds == pytest.approx(1.5)  # of which one reading is the last


def test_the_last_step_of_the_training_is_enough():
    clock = StepTimer(Budget(math.inf), CPU, num_steps=WARM_UP + 2)
    assert steps_until_enough(clock) == WARM_UP + 2
    assert clock.steps == 2


def test_a_training_that_is_all_warm_up_is_refused():
    with pytest.raises(UserError, match=f"{WARM_UP} steps are too few to measure"):
        StepTimer(Budget(1.0), CPU, num_steps=WARM_UP)
