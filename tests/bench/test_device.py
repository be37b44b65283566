"""The command for a machine with a GPU: rehearsed on the null GPU; its texts and its settings."""

import json
import os
import subprocess
import sys

import pytest

from bench import device_report
from bench.device_checks import STAGES, stages
from bench.device_setup import Setup, prepare_data
from bench.device_speed import weights_of_whole_run
from tests.conftest import ROOT
from tests.cuda.null_gpu.build import CACHE, CannotBuild, environment

# What each part of a rehearsal has to come to, and that it comes to its end.
FIGURES = {
    "right": {
        "environment": "card",
        "data": "num_images",
        "equality": "weights_sha256",
        "kernels": "ms_of_replay_alone",
        "evaluation": "max_logit_difference",
        "stages": "profile",
        "tests": "summary",
    },
    "fast": {
        "environment": "card",
        "data": "num_images",
        "cold run": "cost",
        "warm run": "cost",
        "compilation": "seconds_until_compiled",
        "growth": "rows",
    },
    "tune": {"environment": "card", "data": "num_images", "sweep": "runs"},
    "final": {"environment": "card", "data": "num_images", "final": "runs"},
}


@pytest.mark.slow
@pytest.mark.timeout(1300)
def test_the_rehearsal_ends_well_on_the_null_gpu(tmp_path):
    """With $ALEXNET_CUDA_PYTHON, or the Python of the tests."""
    python = os.environ.get("ALEXNET_CUDA_PYTHON", sys.executable)
    try:
        environment(python, CACHE)
    except CannotBuild as error:
        pytest.skip(f"no null GPU: {error}")
    out, work = tmp_path / "out", tmp_path / "work"
    command = [sys.executable, "-m", "tests.cuda.null_gpu", python, "-m", "bench.device"]
    result = subprocess.run(
        [*command, "--rehearse", f"--out={out}", f"--work={work}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-5000:]
    for suite, figures in FIGURES.items():
        parts = json.loads((out / f"{suite}.json").read_text())["parts"]
        assert {name: part["error"] for name, part in parts.items()} == dict.fromkeys(figures)
        for name, figure in figures.items():
            assert figure in parts[name]["figures"], name
        assert "no check is judged" in (out / f"{suite}.txt").read_text()
    checks = json.loads((out / "right.json").read_text())["parts"]["equality"]["checks"]
    assert len(checks) == 4


class Checks:
    """Stands for the recorder of a part."""

    def __init__(self):
        self.passed = {}

    def add(self, **figures):
        self.figures = figures

    def check(self, name, passed, detail=""):
        self.passed[name] = passed or detail


@pytest.mark.slow
def test_the_stages_run_one_after_the_other_without_dvc(params, tmp_path):
    """On the CPU: a rehearsal runs none that judges values."""
    data = params.data.model_copy(update={"name": "digits"})
    values = params.model_copy(update={"data": data})
    setup = Setup(values, tmp_path / "work", tmp_path / "out", is_rehearsal=False)
    setup.out.mkdir()
    prepare_data(setup, Checks())
    checks = Checks()
    stages(setup, checks)
    assert checks.passed == dict.fromkeys(STAGES, True), (setup.out / "stages.txt").read_text()
    assert checks.figures["export"]


def test_a_whole_run_is_compared_with_one_of_the_same_parameters_alone(params, tmp_path):
    """A second recipe in the same work folder had been called wrong."""

    def weights(**changes):
        values = params.model_copy(update={"train": params.train.model_copy(update=changes)})
        return weights_of_whole_run(Setup(values, tmp_path, tmp_path, is_rehearsal=False))

    assert weights(epochs=50) == weights() != weights(epochs=25)
    assert weights().parent == tmp_path


RUN = {"val_loss": 0.5, "train_accuracy": 0.9, "seconds": 6.0, "epochs": 50}
SWEEP = {
    "effects": {"cutout": -0.004, "muon_lr": 0.011, "error": 0.002},
    "runs": [
        {"name": "screening", "change": {}, "val_accuracy": 0.8, **RUN},
        {"name": "params.yaml", "change": {"seed": 0}, "val_accuracy": 0.85, **RUN},
        {"name": "params.yaml", "change": {"seed": 1}, "val_accuracy": 0.86, **RUN},
        {"name": "screened", "change": {"seed": 0}, "val_accuracy": 0.87, **RUN},
        {"name": "poor", "change": {"muon_lr": 1.0}, "val_accuracy": 0.095, **RUN},
        {"name": "fast", "change": {"muon_lr": 3.0}, "val_accuracy": None, "error": "not finite"},
    ],
    "no time for trials": 2,
}


def values_of(is_rehearsal: bool) -> dict:
    checks = {"the same run again": {"passed": False, "detail": "conv1 differs"}}
    part = {"seconds": 12.5, "error": None, "figures": SWEEP, "checks": checks}
    cut = {"seconds": 60.0, "error": "stopped", "figures": {"epochs": 3}, "checks": {}}
    return {
        "suite": "fast",
        "is_rehearsal": is_rehearsal,
        "parts": {"sweep": part, "cold run": cut},
    }


def test_the_report_has_the_effects_and_the_best_settings_first(monkeypatch):
    factors = {"muon_lr": (0.02, 0.04, 0.06), "cutout": (8, 4, 2)}
    monkeypatch.setattr(device_report, "FACTORS", factors)
    lines = device_report.render(values_of(False)).splitlines()
    effects = lines.index("effect  factor")
    assert lines[effects + 1 : effects + 3] == [
        " +1.10  muon_lr 0.02 -> 0.04",
        " -0.40  cutout 8 -> 4",
    ]
    names = ("params.yaml", "screened", "poor")
    table = [line.split() for line in lines if line.endswith(names)]
    assert table == [
        ["87.00", "90.00", "-", "1", "50", "screened"],
        ["85.50", "±", "0.71", "90.00", "±", "0.00", "-", "2", "50", "params.yaml"],
        ["9.50", "90.00", "-", "1", "50", "poor"],
    ]
    assert "failed: {'muon_lr': 3.0}: not finite" in lines
    assert "WRONG       the same run again: conv1 differs" in lines
    assert "no time for trials: 2 trainings" in lines
    assert lines[-3:] == ["== cold run (60.0 s)", "FAILED: stopped", "epochs: 3"]


def test_a_rehearsal_judges_nothing():
    text = device_report.render(values_of(True))
    assert "WRONG" not in text
    assert "not judged  the same run again" in text
