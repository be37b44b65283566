"""Damaged checkpoints and full disks: they are said, and cost steps but no bytes."""

import resource
import shutil
import signal
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.stages.attempts import (
    CHECKPOINTS,
    Attempt,
    completed,
    flip_a_bit,
    forget,
    in_forks,
    kept,
    newest_step,
    steps_taken,
    uninterrupted,
)


def kill_after(steps: int) -> None:
    """A run of which two checkpoints are there, the newest in doubt, and no process."""
    attempt = Attempt()
    attempt.wait_until(lambda: newest_step() >= steps and len(kept()) == 2)
    attempt.send(signal.SIGKILL)
    assert attempt.end() == [-signal.SIGKILL], attempt.said()
    for path in kept():  # whole ones only, so that what a test damages is what is read
        if not path.with_suffix(".sha256").exists():
            path.unlink()


def damage() -> dict:
    """Each kind of damage to a run that was killed, and how the next attempt takes it."""
    expected = uninterrupted(train__epochs=2)
    result: dict = {"expected": expected}

    kill_after(6)
    older, newer = newest_step() - 1, kept()[-1]
    assert len(kept()) == 2
    result["newest"] = {"path": flip_a_bit(newer), "older": older, **completed()}
    forget()

    kill_after(6)
    result["both"] = {"paths": [flip_a_bit(path) for path in kept()], **completed()}
    forget()

    kill_after(6)
    older = newest_step() - 1
    kept()[-1].with_suffix(".sha256").unlink()
    result["no digest"] = {"older": older, **completed()}
    forget()

    kill_after(6)
    attempt = Attempt(before=full_disk)
    result["full disk"] = {"code": attempt.end()[0], "told": attempt.said()}
    result["full disk"] |= {"step": newest_step(), "failed at": steps_taken(), **completed()}
    return result


def full_disk() -> None:
    """A limit on the size of files stands for it; a checkpoint does not fit."""
    values = Path("params.yaml").read_text()
    Path("params.yaml").write_text(values.replace("error: continue", "error: stop"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.fixture(scope="module")
def damaged(data, tmp_path_factory) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("damaged")
        shutil.copytree(data / "data", folder / "data")
        patch.chdir(folder)
        patch.setenv("ALEXNET_CHECKPOINTS", str(CHECKPOINTS))
        patch.setenv("PYTHONPATH", str(ROOT))
        return in_forks(damage)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_said_and_the_older_one_is_used(damaged):
    found = damaged["newest"]
    assert f"checkpoint {found['path']} is damaged" in found["said"]
    assert f"going on from the checkpoint at step {found['older']} of 24" in found["said"]
    assert found["bytes"] == damaged["expected"]


@pytest.mark.slow
def test_where_both_are_damaged_it_starts_over(damaged):
    found = damaged["both"]
    assert len(found["paths"]) == 2
    assert all(f"checkpoint {path} is damaged" in found["said"] for path in found["paths"])
    assert "going on" not in found["said"]
    assert "initial loss" in found["said"]
    assert found["bytes"] == damaged["expected"]


@pytest.mark.slow
def test_a_checkpoint_without_its_digest_is_passed_over(damaged):
    found = damaged["no digest"]
    assert f"going on from the checkpoint at step {found['older']} of 24" in found["said"]
    assert "damaged" not in found["said"]
    assert found["bytes"] == damaged["expected"]


@pytest.mark.slow
def test_a_full_disk_stops_it_where_that_is_wanted(damaged):
    found = damaged["full disk"]
    assert found["code"] == 1
    assert found["failed at"] == 1, "at the first step, whose checkpoint does not fit"
    (error,) = [line for line in found["told"].splitlines() if line.startswith("error: ")]
    assert f"step-{found['step'] + 1:09}.safetensors" in error or "File too large" in error
    assert "Traceback" not in found["told"]
    assert f"going on from the checkpoint at step {found['step']} of 24" in found["said"]
    assert found["bytes"] == damaged["expected"]
