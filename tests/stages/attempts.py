"""Interrupted training: the train command in forks, which tests kill and start again.

Importing PyTorch takes seconds. A scenario therefore runs in a process that has imported
everything and computed nothing, and its attempts are forks of it. They train the network with
a 16th of its channels; everything else is the command itself.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from alexnet.cli.app import run as run_command
from alexnet.files import sha256
from alexnet.network.model import AlexNetCifar
from alexnet.network.weights import VARIANTS
from alexnet.training import peers
from alexnet.training.checkpoint_store import remove_run
from alexnet.training.trainer import Trainer
from stages import paths
from stages import train as stage
from tests.conftest import write_params
from tests.runs import narrow
from tests.training.test_distributed import as_torchrun_does, fork

OUTCOME = [paths.WEIGHTS, paths.HISTORY, paths.LAYERS]
CHECKPOINTS = Path("checkpoints")  # in the folder of the run
SMALL = {"data__val_fraction": 0.4, "data__test_fraction": 0.4}  # 359 images to train on
TRAIN = {"train__precision": "fp32", "train__device": "cpu", "model__dropout": 0.5}
TRAIN |= {"train__scale": 0.2, "train__degrees": 10.0, "train__color_jitter": 0.2}
TRAIN |= {"train__cutmix_prob": 0.5, "train__cutmix_end": 0.9}
TRAIN |= {"train__ema_decay": 0.9, "train__cutout": 8, "train__batch_size": 32}
EVERY_STEP, NEVER = {"train__checkpoint_seconds": 0.001}, {"train__checkpoint_seconds": 1e9}
PATIENCE = 120.0  # far more than anything here takes, on a busy machine too
RESUMING = "resuming at step"  # in the log of a training that resumes

two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")


def in_forks(scenario: Callable[..., dict], **arguments: object) -> dict:
    """The result of `scenario` in a process that may fork: nothing has computed in it before."""
    script = (
        "import importlib, json, sys; module, name, arguments, out = sys.argv[1:]; "
        "scenario = getattr(importlib.import_module(module), name); "
        "result = scenario(**json.loads(arguments)); open(out, 'w').write(json.dumps(result))"
    )
    named = scenario.__module__, scenario.__name__
    done = subprocess.run(
        [sys.executable, "-c", script, *named, json.dumps(arguments), "result.json"],
        capture_output=True,
        text=True,
        timeout=550,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(Path("result.json").read_text())


class Attempt:
    """The train command, or another, in a fork, or in two of one distributed training.

    before: called in the fork ahead of the command.
    """

    def __init__(
        self,
        size: int = 1,
        before: Callable[[], None] | None = None,
        command: Callable[..., None] = stage.train,
    ) -> None:
        self.command = command
        self.logs = [Path(f"log-{rank}") for rank in range(size)]
        Path("store").unlink(missing_ok=True)
        Path("steps").unlink(missing_ok=True)
        self.pids = [fork(self._command, rank, size, before) for rank in range(size)]
        self.codes: list[int] = []

    def _command(self, rank: int, size: int, before: Callable[[], None] | None) -> None:
        log = os.open(self.logs[rank], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        VARIANTS["cifar"] = Narrow
        peers.ANSWER_SECONDS = 0.0
        Trainer.train_step = counted(Trainer.train_step)
        if size > 1:
            as_torchrun_does(Path("store"), rank, size)
        if before:
            before()
        sys.argv = [self.command.__name__]
        run_command(self.command)

    def wait_until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not reached() and not self.is_over():
            assert time.monotonic() < deadline, "nothing happens"
            time.sleep(0.0005)

    def is_over(self) -> bool:
        """Whether one of the processes has ended; returns at once."""
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return any(os.waitid(os.P_PID, pid, options) for pid in self.pids)

    def send(self, signum: int) -> None:
        for pid in self.pids:
            os.kill(pid, signum)

    def end(self) -> list[int]:
        """Wait for the processes; returns their exit codes, -9 of a killed one."""
        self.codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in self.pids]
        return self.codes

    def log(self) -> str:
        return "".join(log.read_text() for log in self.logs)


class Narrow(AlexNetCifar):
    """In place of the variant's class; its instances have the variant's own class."""

    def __new__(cls, *arguments):
        return narrow(*arguments)


def counted(train_step):
    """Record each step in a file."""

    def step(self, batch):
        train_step(self, batch)
        if self.distributed.is_main_process:
            with open("steps", "a") as file:
                file.write(".")

    return step


def steps_taken() -> int:
    """Of the current attempt."""
    path = Path("steps")
    return path.stat().st_size if path.exists() else 0


def kept() -> list[Path]:
    return sorted(CHECKPOINTS.glob("*/step-*.safetensors"))


def latest_step() -> int:
    """Of the complete checkpoints: a digest is written last."""
    complete = [path.stem for path in kept() if path.with_suffix(".sha256").exists()]
    return max((int(name.split("-")[1]) for name in complete), default=0)


def is_half_written() -> bool:
    """Whether the kill came while a checkpoint was written or an old one removed."""
    digests = {path.with_suffix(".sha256") for path in kept()}
    others = {*CHECKPOINTS.glob("*/.*.tmp"), *CHECKPOINTS.glob("*/step-*.sha256")} - digests
    return bool(others) or len(kept()) > 2 or not all(path.exists() for path in digests)


def outcome() -> list[str]:
    """The digests of a complete run's files. Removes its checkpoint: the next one trains anew."""
    (note,) = CHECKPOINTS.glob("*/complete.json")
    assert [path.stem.count("-final") for path in kept()] == [1], (
        "the last checkpoint alone is kept"
    )
    assert remove_run(note.parent)
    assert not (left := list(CHECKPOINTS.rglob("*"))), f"checkpoints are left: {left}"
    return [sha256(path) for path in OUTCOME]


def remove_outputs() -> None:
    for path in OUTCOME:
        path.unlink()


def completed(size: int = 1, before: Callable[[], None] | None = None) -> dict:
    """An undisturbed attempt: the digests of its files, and its log."""
    attempt = Attempt(size, before)
    assert attempt.end() == [0] * size, attempt.log()
    return {"bytes": outcome(), "log": attempt.log()}


def uninterrupted(size: int = 1, **changes: object) -> list[str]:
    """The digests of an undisturbed run; then the parameters of the run to be disturbed."""
    write_params(Path(), **SMALL | TRAIN | changes | NEVER)
    result = completed(size)["bytes"]
    remove_outputs()
    write_params(Path(), **SMALL | TRAIN | changes | EVERY_STEP)
    return result
