"""Further seeds: each is trained and measured as the first, once, whatever stops the stage."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from alexnet import config
from alexnet.errors import UserError
from alexnet.files import sha256, write_json
from alexnet.network.parent import Parent, ParentRecord, save_parent
from stages import paths
from stages.evaluate import evaluate
from stages.params import record
from stages.repeat import repeat
from stages.runtime.dvc_files import declared
from tests.conftest import ROOT, write_params
from tests.reports import FILES, write_report
from tests.stages.attempts import (
    CHECKPOINTS,
    EVERY_STEP,
    NEVER,
    RESUMING,
    SMALL,
    TRAIN,
    Attempt,
    in_forks,
    steps_taken,
    two_cores,
)

STEPS = 12  # of a training of one epoch
ONE_EPOCH = SMALL | TRAIN | {"train__epochs": 1, "evaluate__views": "mirrored"}


def succeed(command=None, size: int = 1) -> tuple[str, int]:
    """The log of a command that ends well, and the steps that it took."""
    attempt = Attempt(size, **{"command": command} if command else {})
    assert attempt.end() == [0] * size, attempt.log()
    return attempt.log(), steps_taken()


def alone(seed: int, **changes: object) -> dict:
    """The result of a seed as train and evaluate give it; their files stay."""
    write_params(Path(), **ONE_EPOCH | NEVER | changes, train__seed=seed)
    succeed()
    succeed(evaluate)
    epoch, metrics = (json.loads(path.read_text()) for path in (paths.TRAIN_METRICS, paths.METRICS))
    shutil.rmtree(CHECKPOINTS)
    return {
        "seed": seed,
        **{key: epoch[key] for key in ("train_accuracy", "val_accuracy")},
        **{f"test_{key}": metrics[key] for key in ("accuracy", "loss", "accuracy_mirrored")},
    }


def repeated(size: int = 1, **changes: object) -> list[dict]:
    """The rows of two further seeds, in one go."""
    write_params(Path(), **ONE_EPOCH | NEVER | changes, repeat__seeds=[5, 6])
    assert succeed(repeat, size)[1] == 2 * STEPS
    return json.loads(paths.REPEAT.read_text())["runs"]


def interrupted() -> dict:
    """Stopped in the second seed, killed in the third, then with one seed more."""
    expected = [alone(6), alone(0)][::-1]  # of the first run, and of a seed after another
    rows = repeated()
    whole = paths.REPEAT.read_bytes()
    shutil.rmtree(paths.SEED_RESULTS)
    paths.REPEAT.unlink()

    write_params(Path(), **ONE_EPOCH | EVERY_STEP, repeat__seeds=[5, 6])
    stopped = Attempt(command=repeat)
    stopped.wait_until(lambda: steps_taken() >= 4)
    stopped.send(15)
    assert stopped.end() == [143], stopped.log()
    logs = [stopped.log()]
    killed = Attempt(command=repeat)
    killed.wait_until(lambda: list(paths.SEED_RESULTS.glob("*.json")) and steps_taken() >= STEPS)
    killed.send(9)
    assert killed.end() == [-9], killed.log()
    logs.append(killed.log())
    log, steps = succeed(repeat)
    again = paths.REPEAT.read_bytes()
    write_params(Path(), **ONE_EPOCH, repeat__seeds=[6, 5, 8])
    return {
        "expected": expected,
        "rows": rows,
        "same": again == whole,
        "logs": [*logs, log],
        "steps": steps,
        "one_more": succeed(repeat)[1],
        "left": [str(path) for path in CHECKPOINTS.rglob("*")],
        "stored": [path.suffix for path in paths.SEED_RESULTS.iterdir()],
    }


@pytest.mark.slow
def test_each_seed_is_trained_once_and_ends_as_train_and_evaluate_would(project):
    found = in_forks(interrupted)
    assert found["rows"][::2] == found["expected"], "bit for bit"
    assert len({row["test_loss"] for row in found["rows"]}) == 3
    assert found["same"], "after an interruption the same file"
    stopped, killed, last = found["logs"]
    assert "error: stopped by SIGTERM after step" in stopped
    assert RESUMING in killed, "seed 5 resumes"
    assert "(stored)" in last, "seed 5 was done"
    assert found["steps"] <= STEPS, "of seed 6 alone"
    assert found["one_more"] == STEPS, "of seed 8 alone"
    assert found["left"] == [], "no checkpoint of a result that is stored"
    assert found["stored"] == [".json"] * 3


def from_nothing() -> dict:
    """The first run starts from weights; repeat trains the same from nothing."""
    save_parent(paths.PRETRAINED, paths.PRETRAINED_RECORD, None)
    expected = alone(0)
    shutil.copy(paths.WEIGHTS, paths.PRETRAINED)
    record = ParentRecord(Parent("weights", "0" * 64), sha256(paths.PRETRAINED))
    write_json(paths.PRETRAINED_RECORD, asdict(record))
    started = {"model__start_from": "w.safetensors", "repeat__from_nothing": True}
    write_params(Path(), **ONE_EPOCH | NEVER | started)
    succeed()
    succeed(evaluate)
    log, _ = succeed(repeat)
    return {"expected": expected, "log": log, **json.loads(paths.REPEAT.read_text())}


@pytest.mark.slow
def test_the_same_is_trained_from_nothing_on_request(project):
    found = in_forks(from_nothing)
    assert found["from_nothing"]["result"] == found["expected"], "bit for bit"
    assert [row["epoch"] for row in found["from_nothing"]["history"]] == [1]
    assert found["num_runs"] == 1
    assert found["mean"]["test_loss"] == found["runs"][0]["test_loss"]
    assert "without model.start_from" in found["log"]


def in_two_processes() -> dict:
    same = {"model__dropout": 0.0}  # each process drops values of its own
    alone(0, **same)
    return {"one": repeated(**same), "two": repeated(2, **same)}


@pytest.mark.slow
@two_cores
def test_two_processes_train_each_seed_together(project):
    found = in_forks(in_two_processes)
    for one, two in zip(found["one"], found["two"], strict=True):
        assert two == pytest.approx(one, abs=0.02), "but for rounding"


@pytest.fixture
def reported(tmp_path, monkeypatch) -> Path:
    """What train and evaluate have reported and recorded of the first run, in this folder."""
    monkeypatch.chdir(tmp_path)
    for name, content in FILES.items():
        write_report(tmp_path / name, content)
    epoch = {"epoch": 2, "learning_rate": 0.1, "train_loss": 1.0, "train_accuracy": 0.75}
    write_report(paths.TRAIN_METRICS, epoch | {"val_loss": 1.25, "val_accuracy": 0.625})
    write_params(tmp_path)
    for path in (paths.TRAIN_PARAMS, paths.EVALUATE_PARAMS):
        record(path, config.load(paths.PARAMS))
    return tmp_path


def test_without_further_seeds_the_first_run_is_reported_without_torch(reported):
    program = "import sys; sys.modules['torch'] = None; from stages import repeat; repeat.repeat()"
    subprocess.run(
        [sys.executable, "-c", program], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    values = json.loads(paths.REPEAT.read_text())
    row = {"seed": 0, "train_accuracy": 0.75, "val_accuracy": 0.625}
    assert values["runs"] == [row | {"test_accuracy": 0.75, "test_loss": 1.25}]
    assert (values["num_runs"], values["std"]["test_accuracy"]) == (1, None)


def test_a_first_run_of_other_parameters_is_refused(reported):
    write_params(reported, train__epochs=9, train__tensorboard=True)
    with pytest.raises(
        UserError, match=r"train/params.json: train\.epochs had .*; run the stage t"
    ):
        repeat(paths.PARAMS)


def test_it_reads_the_parameters_of_train_and_no_other_file(monkeypatch):
    """Edited while it runs, or before the next run, those that carry out a run change nothing."""
    monkeypatch.chdir(ROOT)
    assert {*declared("train").params, "repeat"} < {*declared("repeat").params}
    assert not [path for path in declared("repeat").deps if path.suffix == ".yaml"]
