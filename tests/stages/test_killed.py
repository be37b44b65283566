"""Training that is killed or stopped by a signal, and started again, ends in the same bytes."""

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from alexnet.signals import SIGNALS
from tests.conftest import write_params
from tests.stages.attempts import (
    CHECKPOINTS,
    NEVER,
    RESUMING,
    SMALL,
    TRAIN,
    Attempt,
    completed,
    in_forks,
    is_half_written,
    latest_step,
    steps_taken,
    two_cores,
    uninterrupted,
)

pytestmark = pytest.mark.slow


def die_at(operation: int) -> None:
    """SIGKILL this process at the n-th time that it opens, renames or removes a checkpoint."""
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event in {"open", "os.rename", "os.remove"}:
            path = str(arguments[0])
            seen += path.startswith(str(CHECKPOINTS)) and "step-" in path
            if seen == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def kill_and_run_again(size: int, num_kills: int) -> dict:
    """Kill one run repeatedly, in turn at any moment and during a checkpoint."""
    expected = uninterrupted(size, train__epochs=15)
    chance = random.Random(0)
    half_written, reached = 0, []
    for kill in range(num_kills):
        if kill % 2:
            operation = chance.randint(1, 40)
            attempt = Attempt(size, before=lambda operation=operation: die_at(operation))
            attempt.wait_until(lambda: False)
        else:
            attempt = Attempt(size)
            steps, delay = chance.randint(0, 3), chance.random()
            attempt.wait_until(lambda: steps_taken() >= steps)  # noqa: B023
            time.sleep(delay * (0.03 if steps else 0.3))
        attempt.send(signal.SIGKILL)
        assert -signal.SIGKILL in attempt.end(), attempt.log()
        half_written += is_half_written()
        reached.append(latest_step())
    return {"expected": expected, "half_written": half_written, "reached": reached} | completed(
        size
    )


@pytest.mark.parametrize(
    ("size", "num_kills"), [(1, 24), pytest.param(2, 10, marks=two_cores)], ids=["one", "two"]
)
def test_a_run_killed_repeatedly_ends_in_the_same_bytes(project, size, num_kills):
    result = in_forks(kill_and_run_again, size=size, num_kills=num_kills)
    assert result["half_written"] >= num_kills // 6, "some during a checkpoint"
    reached = result["reached"]
    assert len(reached) == num_kills
    assert reached == sorted(reached), "no attempt loses steps"
    assert f"{RESUMING} {reached[-1]} of 180" in result["log"]
    assert result["bytes"] == result["expected"]


def stop_by_signal() -> dict:
    """Each signal that stops, at a random step; only they cause a checkpoint."""
    expected = uninterrupted(train__epochs=3)
    write_params(Path(), **SMALL | TRAIN | NEVER, train__epochs=3)
    chance = random.Random(1)
    stops = []
    for signum in SIGNALS:
        start, steps = latest_step(), chance.randint(1, 8)
        attempt = Attempt()
        attempt.wait_until(lambda: steps_taken() >= steps)  # noqa: B023
        attempt.send(signum)
        (code,) = attempt.end()
        taken = start + steps_taken()
        stops.append([signum, code, taken, latest_step(), attempt.log()])
    return {"expected": expected, "stops": stops, **completed()}


def test_a_signal_stops_training_after_a_checkpoint(project):
    result = in_forks(stop_by_signal)
    for signum, code, taken, kept, log in result["stops"]:
        assert code == 128 + signum
        assert kept == taken
        name = signal.Signals(signum).name
        last = log.splitlines()[-1]
        assert last == (
            f"error: stopped by {name} after step {taken} of 36; run it again to resume at step "
            f"{taken}"
        )
        assert "Traceback" not in log
    assert f"{RESUMING} {taken} of 36" in result["log"]
    assert result["bytes"] == result["expected"]


def others() -> dict:
    """A second process in the same run, and a killed one of two."""
    uninterrupted(train__epochs=5)
    first = Attempt()
    first.wait_until(lambda: steps_taken() >= 1)
    first.send(signal.SIGSTOP)
    log = first.logs[0].rename("log-first")
    second = Attempt()
    result: dict = {"second": [second.end(), second.log()]}
    first.send(signal.SIGCONT)
    result["first"] = [first.end(), log.read_text()]

    pair = Attempt(2)
    pair.wait_until(lambda: steps_taken() >= 2)
    os.kill(pair.pids[1], signal.SIGKILL)
    result["pair"] = [pair.end(), pair.log()]
    return result


@two_cores
def test_a_second_process_is_an_error_and_a_lost_peer_is_reported(project):
    result = in_forks(others)
    (code,), log = result["second"]
    assert code == 1
    assert "error: another process is training this very run" in log
    assert "Traceback" not in log
    assert result["first"][0] == [0], "it is not disturbed"
    (code, killed), log = result["pair"]
    assert (code, killed) == (1, -signal.SIGKILL)
    assert "error: process 0 of 2 gives up; process 1 does not answer: " in log
    assert "Traceback" not in log
