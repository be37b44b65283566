"""The train command as a user starts it: the full network, killed, stopped, resumed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alexnet.signals import SIGNALS
from tests.conftest import write_params
from tests.stages.attempts import (
    CHECKPOINTS,
    EVERY_STEP,
    NEVER,
    PATIENCE,
    RESUMING,
    SMALL,
    TRAIN,
    latest_step,
    outcome,
    remove_outputs,
    two_cores,
)

FULL = SMALL | TRAIN | {"train__epochs": 2, "train__batch_size": 120, "train__ema_decay": 0.0}


def start(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *(command or ("-m", "stages.train"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_step(process: subprocess.Popen[str], step: int) -> None:
    """Until that checkpoint is complete."""
    deadline = time.monotonic() + PATIENCE
    digest = f"*/step-{step:09}.sha256"
    while process.poll() is None and not list(CHECKPOINTS.glob(digest)):
        assert time.monotonic() < deadline, "nothing happens"
        time.sleep(0.001)


def end(process: subprocess.Popen[str], code: int) -> tuple[str, str]:
    log, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, log + errors
    assert "Traceback" not in errors
    return log, errors


@pytest.mark.slow
def test_the_command_resumes_after_sigkill_and_sigterm(project):
    write_params(project, **FULL | NEVER)
    end(start(), code=0)
    expected = outcome()
    remove_outputs()

    write_params(project, **FULL | EVERY_STEP)
    killed = start()
    wait_for_step(killed, 1)
    killed.kill()
    end(killed, code=-signal.SIGKILL)

    stopped = start()
    wait_for_step(stopped, 3)
    stopped.terminate()
    log, errors = end(stopped, code=143)
    assert RESUMING in log
    assert errors.startswith("error: stopped by SIGTERM after step ")
    step = latest_step()
    assert f"after step {step} of 6; run it again to resume at step {step}" in errors

    end(start(), code=0)
    assert outcome() == expected


@pytest.mark.slow
@two_cores
def test_two_processes_started_by_torchrun_and_by_the_command(project):
    write_params(project, **FULL | NEVER)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    log, _ = end(start(*torchrun, "-m", "stages.train"), code=0)
    assert "2 processes" in log
    expected = outcome()
    remove_outputs()

    write_params(project, **FULL | EVERY_STEP, train__num_processes=2)
    killed = start()
    wait_for_step(killed, 1)
    workers = children_of(killed)
    assert len(workers) == 2
    killed.kill()  # the two workers end with it
    end(killed, code=-signal.SIGKILL)
    wait_for_the_end_of(workers)

    stopped = start()
    wait_for_step(stopped, 3)
    workers = children_of(stopped)
    assert len(workers) == 2
    stopped.terminate()
    log, errors = end(stopped, code=143)
    assert RESUMING in log
    (line,) = errors.splitlines()  # of the main process alone
    step = latest_step()
    assert line == (
        f"error: stopped by SIGTERM after step {step} of 6; run it again to resume at step {step}"
    )
    assert not any(is_alive(pid) for pid in workers)

    log, errors = end(start(), code=0)
    assert errors == ""
    assert outcome() == expected


@pytest.mark.slow
@two_cores
@pytest.mark.parametrize("size", [1, 2])
def test_a_reader_that_leaves_changes_nothing(project, size):
    """In each of the processes that write to the pipe: `| head -1`."""
    write_params(project, **FULL | NEVER, train__num_processes=size)
    end(start(), code=0)
    expected = outcome()
    remove_outputs()
    process = subprocess.Popen(
        [sys.executable, "-m", "stages.train"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout.readline().startswith(b"device cpu")
    process.stdout.close()
    assert process.wait(PATIENCE) == 0
    assert outcome() == expected


@pytest.mark.slow
@two_cores
def test_processes_that_do_not_stop_are_reported_as_such(project):
    """One hangs, so that no checkpoint can be written; torchrun kills them after 30 s."""
    write_params(project, **FULL | NEVER | {"train__epochs": 1000}, train__num_processes=2)
    process = start()
    while not process.stdout.readline().startswith("initial loss"):
        assert process.poll() is None
    os.kill(max(children_of(process)), signal.SIGSTOP)
    time.sleep(2)  # the main process waits for it by now
    process.terminate()
    _, errors = end(process, code=143)
    assert errors == (
        "error: stopped by SIGTERM before its 2 processes had stopped by themselves; run it again "
        "to resume from the last checkpoint, if there is one\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("signum", SIGNALS)
@pytest.mark.parametrize("who", ["alone", pytest.param("workers", marks=two_cores)])
def test_a_signal_before_the_first_step_is_reported_once(project, who, signum):
    """While PyTorch is imported, in the only process or in both."""
    write_params(project, **FULL | NEVER, train__num_processes=1 if who == "alone" else 2)
    process = start()
    deadline = time.monotonic() + PATIENCE
    while not all(handles(pid, signal.SIGTERM) for pid in processes_of(process, who)):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signum)
    log, errors = end(process, code=128 + signum)
    assert "epoch 1" not in log
    assert errors == f"error: stopped by {signum.name} before the first step\n"


def processes_of(process: subprocess.Popen[str], who: str) -> list[int]:
    if who == "alone":
        return [process.pid]
    workers = children_of(process)
    return workers if len(workers) == 2 else [0]


def handles(pid: int, signum: int) -> bool:
    """Whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> (signum - 1) & 1)


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


@pytest.mark.slow
def test_more_processes_than_cores_are_an_error(project):
    write_params(project, **FULL, train__num_processes=1000)
    _, errors = end(start(), code=1)
    assert errors.startswith("error: train.num_processes: 1000 are asked for, but there are ")
    assert "processor cores here" in errors
