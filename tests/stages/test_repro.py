"""`dvc repro` that is stopped, killed, or started twice, on the host."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, write_params

PATIENCE = 180.0
RESULTS = ("models/weights.safetensors", "reports/train/history.csv")
SHORT = {"data__val_fraction": 0.4, "data__test_fraction": 0.4, "train__batch_size": 120}
SHORT |= {"train__epochs": 3, "train__precision": "fp32", "train__checkpoint_seconds": 0.001}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A project whose digits are ready to be trained on."""
    folder = tmp_path_factory.mktemp("prepared")
    for name in ("alexnet", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", folder)
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    write_params(folder, **SHORT)
    assert finish(repro(folder, "preprocess"))[0] == 0
    return folder


@pytest.fixture(scope="module")
def expected(prepared, tmp_path_factory) -> list[bytes]:
    """What a training comes to that nobody disturbs."""
    folder = tmp_path_factory.mktemp("expected") / "project"
    shutil.copytree(prepared, folder)
    code, said = finish(repro(folder, "train"))
    assert code == 0, said
    return results(folder)


@pytest.fixture
def project(prepared, tmp_path) -> Iterator[Path]:
    folder = tmp_path / "project"
    shutil.copytree(prepared, folder)
    yield folder
    for pid in processes_in(folder):
        os.kill(pid, signal.SIGKILL)


def repro(folder: Path, stage: str) -> subprocess.Popen[str]:
    scripts = str(Path(sys.executable).parent)
    environment = {"PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONWARNINGS": "default"}
    environment |= {"ALEXNET_CHECKPOINTS": str(folder / ".checkpoints")}
    return subprocess.Popen(
        ["dvc", "repro", stage],
        cwd=folder,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def results(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in RESULTS]


def processes_in(folder: Path) -> list[int]:
    """Every process that works in the folder, whoever its parent is."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            works_in = process.joinpath("cwd").readlink()
        except OSError:  # it is over, or another user's
            continue
        if works_in == folder:
            found.append(int(process.name))
    return found


def wait_for(happened: Callable[[], object], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, f"{what} did not happen"
        time.sleep(0.005)


def checkpoints(folder: Path) -> list[Path]:
    return list((folder / ".checkpoints").rglob("step-*.sha256"))


def repro_in_mid_training(folder: Path) -> subprocess.Popen[str]:
    process = repro(folder, "train")
    wait_for(lambda: checkpoints(folder), "a checkpoint")
    assert len(processes_in(folder)) >= 3, "DVC, the runner and the trainer"
    return process


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_repro_that_ends_leaves_no_process_and_the_next_goes_on(signum, project, expected):
    """Killed, it also leaves its locks behind: they do not stand in the next one's way."""
    process = repro_in_mid_training(project)
    process.send_signal(signum)
    code, _ = finish(process)  # when the last one that could write to its output is gone
    assert code != 0
    wait_for(lambda: not processes_in(project), "the end of every process")
    assert not (project / RESULTS[0]).exists()
    assert checkpoints(project), "the trainer was told, and kept what it had"

    code, said = finish(repro(project, "train"))
    assert code == 0, said
    assert "going on from the checkpoint at step" in said
    assert results(project) == expected


def test_of_two_at_once_the_second_is_refused_and_the_first_undisturbed(project, expected):
    first = repro_in_mid_training(project)
    code, said = finish(repro(project, "train"))
    assert first.poll() is None, "the first was still at work"
    assert code != 0
    assert "is busy, it is being blocked by" in said
    assert f"(PID {first.pid}): " in said
    code, said = finish(first)
    assert code == 0, said
    assert results(project) == expected
