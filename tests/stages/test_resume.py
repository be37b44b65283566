"""The train command as a user starts it: the whole network, killed, stopped, run again."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import write_params
from tests.stages.attempts import (
    CHECKPOINTS,
    EVERY_STEP,
    NEVER,
    PATIENCE,
    SMALL,
    TRAIN,
    forget,
    newest_step,
    outcome,
    two_cores,
)

WHOLE = SMALL | TRAIN | {"train__epochs": 2, "train__batch_size": 120, "train__ema_decay": 0.0}


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *(command or ("-m", "stages.train"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(process: subprocess.Popen[str], step: int) -> None:
    """Until that checkpoint is whole."""
    deadline = time.monotonic() + PATIENCE
    digest = f"*/step-{step:09}.sha256"
    while process.poll() is None and not list(CHECKPOINTS.glob(digest)):
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.001)


def end(process: subprocess.Popen[str], code: int) -> tuple[str, str]:
    said, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, said + errors
    assert "Traceback" not in errors
    return said, errors


@pytest.mark.slow
def test_the_command_itself_is_killed_and_told_to_stop(project):
    write_params(project, **WHOLE | NEVER)
    end(start(), code=0)
    expected = outcome()
    forget()

    write_params(project, **WHOLE | EVERY_STEP)
    killed = start()
    wait_for_step(killed, 1)
    killed.kill()
    end(killed, code=-signal.SIGKILL)

    told = start()
    wait_for_step(told, 3)
    told.terminate()
    said, errors = end(told, code=143)
    assert "going on from the checkpoint at step" in said
    assert errors.startswith("error: stopped by SIGTERM after step ")
    assert f"after step {newest_step()} of 6; run it again to go on" in errors

    end(start(), code=0)
    assert outcome() == expected


@pytest.mark.slow
@two_cores
def test_two_processes_as_torchrun_and_the_command_start_them(project):
    write_params(project, **WHOLE | NEVER)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    said, _ = end(start(*torchrun, "-m", "stages.train"), code=0)
    assert "2 processes" in said
    expected = outcome()
    forget()

    write_params(project, **WHOLE | EVERY_STEP, train__num_processes=2)
    killed = start()
    wait_for_step(killed, 1)
    workers = children_of(killed)
    assert len(workers) == 2
    killed.kill()  # nobody is left to stop the two, and they stop
    end(killed, code=-signal.SIGKILL)
    wait_for_the_end_of(workers)

    told = start()
    wait_for_step(told, 3)
    workers = children_of(told)
    assert len(workers) == 2
    told.terminate()
    said, errors = end(told, code=143)
    assert "going on from the checkpoint at step" in said
    assert errors.splitlines() == [
        f"error: stopped by SIGTERM after step {newest_step()} of 6; "
        "run it again to go on from there",
        "error: stopped by SIGTERM with its 2 processes; run it again to go on from there",
    ]
    assert not any(is_alive(pid) for pid in workers)

    said, errors = end(start(), code=0)
    assert errors == ""
    assert outcome() == expected


def children_of(process: subprocess.Popen[str]) -> list[int]:
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    return [int(pid) for task in tasks for pid in task.read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def wait_for_the_end_of(pids: list[int]) -> None:
    deadline = time.monotonic() + PATIENCE
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "orphans"
        time.sleep(0.01)


def test_more_processes_than_there_are_cores_are_refused(project):
    write_params(project, **WHOLE, train__num_processes=1000)
    _, errors = end(start(), code=1)
    assert errors.startswith("error: train.num_processes: 1000 are asked for, but there are ")
    assert "processor cores here" in errors
