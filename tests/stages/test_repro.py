"""`dvc repro` that is stopped, killed, or started twice, on the host."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import write_params
from tests.stages.attempts import RESUMING
from tests.stages.projects import copy_code, finish, start, wait_until

RESULTS = ("models/weights.safetensors", "reports/train/history.csv")
SHORT = {"data__val_fraction": 0.4, "data__test_fraction": 0.4, "train__batch_size": 120}
SHORT |= {"train__epochs": 3, "train__precision": "fp32", "train__checkpoint_seconds": 0.001}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A project with preprocessed digits."""
    folder = tmp_path_factory.mktemp("prepared")
    copy_code(folder)
    write_params(folder, **SHORT)
    assert finish(repro(folder, "preprocess"))[0] == 0
    return folder


@pytest.fixture(scope="module")
def expected(prepared, tmp_path_factory) -> list[bytes]:
    """The results of an undisturbed training."""
    folder = tmp_path_factory.mktemp("expected") / "project"
    shutil.copytree(prepared, folder)
    code, output = finish(repro(folder, "train"))
    assert code == 0, output
    return results(folder)


@pytest.fixture
def project(prepared, tmp_path) -> Iterator[Path]:
    folder = tmp_path / "project"
    shutil.copytree(prepared, folder)
    yield folder
    for pid in processes_in(folder):
        os.kill(pid, signal.SIGKILL)


def repro(folder: Path, stage: str) -> subprocess.Popen[str]:
    return start(folder, "dvc", "repro", stage, ALEXNET_CHECKPOINTS=str(folder / ".checkpoints"))


def results(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in RESULTS]


def processes_in(folder: Path) -> list[int]:
    """Every process whose working directory is the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            works_in = process.joinpath("cwd").readlink()
        except OSError:  # it is over, or another user's
            continue
        if works_in == folder:
            found.append(int(process.name))
    return found


def checkpoints(folder: Path) -> list[Path]:
    return list((folder / ".checkpoints").rglob("step-*.sha256"))


def repro_in_mid_training(folder: Path) -> subprocess.Popen[str]:
    process = repro(folder, "train")
    wait_until(lambda: checkpoints(folder), "a checkpoint")
    assert len(processes_in(folder)) >= 3, "DVC, the runner and the trainer"
    return process


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_repro_that_ends_leaves_no_process_and_the_next_resumes(signum, project, expected):
    """After SIGKILL its locks are left; they do not stop the next one."""
    process = repro_in_mid_training(project)
    process.send_signal(signum)
    code, _ = finish(process)  # once no process can write to its output
    assert code != 0
    wait_until(lambda: not processes_in(project), "the end of every process")
    assert not (project / RESULTS[0]).exists()
    assert checkpoints(project), "the trainer got the signal and wrote a checkpoint"

    code, output = finish(repro(project, "train"))
    assert code == 0, output
    assert RESUMING in output
    assert results(project) == expected


def test_of_two_at_once_the_second_fails_and_the_first_is_undisturbed(project, expected):
    first = repro_in_mid_training(project)
    code, output = finish(repro(project, "train"))
    assert first.poll() is None, "the first was still at work"
    assert code != 0
    assert "is busy, it is being blocked by" in output
    assert f"(PID {first.pid}): " in output
    code, output = finish(first)
    assert code == 0, output
    assert results(project) == expected


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_training_that_was_not_recorded_is_not_repeated(signum, project, expected):
    """DVC ends after the weights are there, and before they are in its cache and in dvc.lock."""
    process = repro(project, "train")
    wait_until((project / RESULTS[0]).exists, "the weights")
    process.send_signal(signum)
    code, _ = finish(process)
    assert code != 0
    wait_until(lambda: not processes_in(project), "the end of every process")
    assert "train:" not in (project / "dvc.lock").read_text()

    code, output = finish(repro(project, "train"))
    assert code == 0, output
    assert "this run is complete already" in output
    assert "epoch 1/3" not in output
    assert results(project) == expected
