"""Damaged checkpoints and full disks are reported; they cost steps but change no bytes."""

import resource
import shutil
import signal
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.runs import flip_a_bit
from tests.stages.attempts import (
    CHECKPOINTS,
    RESUMING,
    Attempt,
    completed,
    in_forks,
    kept,
    latest_step,
    remove_outputs,
    steps_taken,
    uninterrupted,
)

pytestmark = pytest.mark.slow


def kill_after(steps: int) -> None:
    """Leaves a run with one or two complete checkpoints, and no process."""
    attempt = Attempt()
    attempt.wait_until(lambda: latest_step() >= steps and len(kept()) == 2)
    attempt.send(signal.SIGKILL)
    assert attempt.end() == [-signal.SIGKILL], attempt.log()
    for path in kept():  # complete ones only, so that a test damages one that is read
        if not path.with_suffix(".sha256").exists():
            path.unlink()


def damage() -> dict:
    """Each kind of damage to a run that was killed, and the next attempt."""
    expected = uninterrupted(train__epochs=2)
    result: dict = {"expected": expected}

    kill_after(6)
    older, newer = latest_step() - 1, kept()[-1]
    assert len(kept()) == 2
    result["newest"] = {"path": flip_a_bit(newer), "older": older, **completed()}
    remove_outputs()

    kill_after(6)
    result["both"] = {"paths": [flip_a_bit(path) for path in kept()], **completed()}
    remove_outputs()

    kill_after(6)
    older = latest_step() - 1
    kept()[-1].with_suffix(".sha256").unlink()
    result["no digest"] = {"older": older, **completed()}
    remove_outputs()

    kill_after(6)
    attempt = Attempt(before=full_disk)
    result["full disk"] = {"code": attempt.end()[0], "output": attempt.log()}
    result["full disk"] |= {"step": latest_step(), "failed at": steps_taken(), **completed()}
    return result


def full_disk() -> None:
    """By a limit on the size of files: no checkpoint fits."""
    values = Path("params.yaml").read_text()
    Path("params.yaml").write_text(values.replace("error: continue", "error: stop"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.fixture(scope="module")
def damaged(data, tmp_path_factory) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("damaged")
        for name in ("data", "models"):
            shutil.copytree(data / name, folder / name)
        patch.chdir(folder)
        patch.setenv("ALEXNET_CHECKPOINTS", str(CHECKPOINTS))
        patch.setenv("PYTHONPATH", str(ROOT))
        return in_forks(damage)


def test_a_damaged_checkpoint_is_reported_and_the_older_one_used(damaged):
    found = damaged["newest"]
    assert f"warning: checkpoint {found['path']} is damaged" in found["log"]
    assert f"{RESUMING} {found['older']} of 24" in found["log"]
    assert found["bytes"] == damaged["expected"]


def test_with_both_damaged_training_starts_over(damaged):
    found = damaged["both"]
    assert len(found["paths"]) == 2
    assert all(f"warning: checkpoint {path} is damaged" in found["log"] for path in found["paths"])
    assert RESUMING not in found["log"]
    assert "initial loss" in found["log"]
    assert found["bytes"] == damaged["expected"]


def test_a_checkpoint_without_digest_is_not_used(damaged):
    found = damaged["no digest"]
    assert f"{RESUMING} {found['older']} of 24" in found["log"]
    assert "damaged" not in found["log"]
    assert found["bytes"] == damaged["expected"]


def test_a_full_disk_stops_training_if_params_say_so(damaged):
    found = damaged["full disk"]
    assert found["code"] == 1
    assert found["failed at"] == 1, "at the first checkpoint"
    (error,) = [line for line in found["output"].splitlines() if line.startswith("error: ")]
    assert f"step-{found['step'] + 1:09}.safetensors" in error or "File too large" in error
    assert "Traceback" not in found["output"]
    assert f"{RESUMING} {found['step']} of 24" in found["log"]
    assert found["bytes"] == damaged["expected"]
