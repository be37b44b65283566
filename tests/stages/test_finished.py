"""A training that fails after its last step, before its results are recorded, is not repeated."""

import os
import signal
import sys
from pathlib import Path

import pytest

from stages import paths
from tests.stages.attempts import (
    CHECKPOINTS,
    RESUMING,
    Attempt,
    completed,
    in_forks,
    is_half_written,
    kept,
    outcome,
    remove_outputs,
    steps_taken,
    two_cores,
    uninterrupted,
)

pytestmark = pytest.mark.slow

COMPLETE = "this run is complete already"


def at_the_weights(action) -> None:
    """Call something at the moment when the weights get their name."""

    def hook(event: str, arguments: tuple) -> None:
        if event == "os.rename" and str(arguments[1]).endswith(str(paths.WEIGHTS)):
            action()

    sys.addaudithook(hook)


def full_project() -> None:
    at_the_weights(lambda: (_ for _ in ()).throw(OSError(28, "No space left on device")))


def interrupted() -> None:
    at_the_weights(lambda: os.kill(os.getpid(), signal.SIGINT))


def full_for_a_while() -> None:
    """The history of both epochs cannot be written; in the end there is room."""
    left = 2

    def hook(event: str, arguments: tuple) -> None:
        nonlocal left
        if event == "os.rename" and str(arguments[1]).endswith(str(paths.HISTORY)) and left:
            left -= 1
            raise OSError(28, "No space left on device")

    sys.addaudithook(hook)


def full_cache() -> None:
    """For the last checkpoint alone."""

    def hook(event: str, arguments: tuple) -> None:
        if event == "os.rename" and "-final.safetensors" in str(arguments[1]):
            raise OSError(28, "No space left on device")

    sys.addaudithook(hook)


def killed_at(operation: int) -> None:
    """SIGKILL at the n-th operation on the files of the last checkpoint, or after."""
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event in {"open", "os.rename", "os.remove"}:
            seen += "-final" in str(arguments[0]) or (seen > 0 and "step-" in str(arguments[0]))
            if seen == operation:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def fail_after_the_last_step(size: int) -> dict:
    """Each way to fail, and the next start."""
    expected = uninterrupted(size, train__epochs=2)
    results = {}
    ways = {"full project": full_project, "interrupted": interrupted}
    for name, before in ways.items() if size == 1 else ():
        attempt = Attempt(before=before)
        results[name] = [attempt.end(), attempt.log(), completed(), steps_taken()]
        remove_outputs()
    half_written = 0
    for operation in range(1, 100):
        attempt = Attempt(size, before=lambda operation=operation: killed_at(operation))
        codes = attempt.end()
        if codes == [0] * size:  # there are fewer operations
            outcome()
            break
        half_written += is_half_written()
        for path in (path for path in (paths.HISTORY, paths.LAYERS) if path.exists()):
            path.unlink()
        next_one = completed(size)
        results[f"killed at {operation}"] = [codes, attempt.log(), next_one, steps_taken()]
        remove_outputs()
    result = {"expected": expected, "results": results, "half_written": half_written}
    if size == 1:
        result["no history"] = completed(before=full_for_a_while)
        remove_outputs()
        attempt = Attempt(before=full_cache)
        result["full cache"] = [attempt.end(), attempt.log(), len(kept())]
        assert not list(CHECKPOINTS.glob("*/*-final*"))
    return result


@pytest.mark.parametrize("size", [1, pytest.param(2, marks=two_cores)], ids=["one", "two"])
def test_the_next_start_takes_no_step_and_ends_in_the_same_bytes(project, size):
    found = in_forks(fail_after_the_last_step, size=size)
    results = found["results"]
    for name, (_, _, again, steps) in results.items():
        assert again["bytes"] == found["expected"], name
        assert steps == 0, name
        # Killed before the last checkpoint is whole, it validates once more.
        assert COMPLETE in again["log"] or f"{RESUMING} 24 of 24" in again["log"], name
        assert "damaged" not in again["log"], name
    assert len(results) >= 5
    assert found["half_written"] >= 2
    if size == 1:
        code, log, again, _ = results["full project"]
        assert code == [1]
        assert "error: [Errno 28] No space left on device" in log
        assert COMPLETE in again["log"]
        code, log, again, _ = results["interrupted"]
        assert code == [130]
        assert log.splitlines()[-1] == (
            "error: stopped by SIGINT after the last step; run it again to resume at step 24"
        )
        assert COMPLETE in again["log"]
        assert found["no history"]["log"].count("warning: no history of epoch ") == 2
        assert found["no history"]["bytes"] == found["expected"]
        code, log, num_kept = found["full cache"]
        assert (code, num_kept) == ([0], 1)
        assert "warning: no checkpoint at step 24 (" in log
        assert "the results are written all the same" in log
        assert Path(paths.WEIGHTS).exists()
