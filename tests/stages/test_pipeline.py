"""The whole pipeline under DVC on real digits: which stages run, which rerun, what they write."""

import csv
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import onnxruntime
import pytest
from PIL import Image

from alexnet.report.sections import PICTURES
from tests.conftest import ROOT, STAGES, write_params
from tests.stages.projects import call, commit, copy_code, dvc, executed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Path]:
    """A repository in which the digits went through the whole pipeline, two epochs."""
    folder = tmp_path_factory.mktemp("project")
    copy_code(folder)
    for name in (".gitignore", "config"):
        shutil.copy(ROOT / ".dvc" / name, folder / ".dvc")
    write_params(folder, train__epochs=2, gate__min_accuracy=0.2)
    call(folder, "git", "init", "--quiet")
    commit(folder)
    assert executed(dvc(folder, "repro").stdout) == list(STAGES)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def params(project) -> Iterator[Path]:
    """params.yaml of the project, put back after the test."""
    path = project / "params.yaml"
    before = path.read_bytes()
    yield path
    path.write_bytes(before)


def test_a_second_run_runs_nothing(project):
    result = dvc(project, "repro")
    assert executed(result.stdout) == []
    assert "Data and pipelines are up to date." in result.stdout


def test_tracked_files_stay_untouched(project):
    status = call(project, "git", "status", "--porcelain").stdout
    assert status.split() == ["??", "dvc.lock"]


def test_every_output_is_there(project):
    reports = project / "reports"
    metrics = json.loads((reports / "evaluate/metrics.json").read_text())
    assert metrics["n"] == 359
    assert metrics["accuracy"] > 0.2, "it has learned something"
    assert json.loads((reports / "gate.json").read_text())["passed"] is True
    assert len((reports / "train/history.csv").read_text().splitlines()) == 3
    assert len((reports / "train/layers.csv").read_text().splitlines()) == 1 + 2 * 8
    assert "seconds" not in json.loads((reports / "train/metrics.json").read_text())
    live = json.loads((reports / "train/live.json").read_text())
    assert (live["epoch"], live["train_seconds"] > 0) == (2, True)
    profile = json.loads((reports / "profile/metrics.json").read_text())
    assert profile["device"].startswith("cpu (")
    rows = (reports / "profile/layers.csv").read_text().splitlines()
    assert rows[0] == "layer,forward_seconds,backward_seconds"
    assert {"conv1", "fc3"} < {row.split(",")[0] for row in rows[1:]}
    pictures = {path.stem for path in (reports / "figures").glob("*.png")}
    assert pictures == {picture.name for picture in PICTURES}
    for picture in (reports / "figures").glob("*.png"):
        with Image.open(picture) as image:
            image.verify()
    page = (reports / "report.html").read_text()
    assert f"{100 * metrics['accuracy']:.2f}" in page
    onnxruntime.InferenceSession(project / "artifacts/model.onnx")


def test_page_and_manifest_describe_what_the_stages_read(project, params):
    """Whatever params.yaml has become since."""

    def described() -> list[object]:
        manifest = json.loads((project / "artifacts/manifest.json").read_text())
        del manifest["provenance"]["dirty"]  # the edited file itself
        names = ("reports/report.html", "artifacts/MODEL_CARD.md")
        return [manifest["provenance"], *((project / name).read_text() for name in names)]

    before = described()
    assert before[0]["params"]["train"]["epochs"] == 2
    text = params.read_text()
    for old, new in (
        ("epochs: 2", "epochs: 3"),
        ("dropout: 0.0", "dropout: 0.5"),
        ("degrees: ", "degrees: 1"),
        ("  seed: 0", "  seed: 1"),
        ("calibration_bins: 15", "calibration_bins: 9"),
        ("image_size: 32", "image_size: 48  #"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    params.write_text(text)
    for stage in ("plot", "export"):
        call(project, sys.executable, "-m", f"stages.{stage}")
    after = described()
    dvc(project, "checkout", "--force")  # for the other tests
    assert after == before


def test_evaluate_and_export_agree(project):
    """The reported accuracy is that of the exported model."""
    manifest = json.loads((project / "artifacts/manifest.json").read_text())
    metrics = json.loads((project / "reports/evaluate/metrics.json").read_text())
    assert manifest["metrics"]["accuracy"] == metrics["accuracy"]
    assert manifest["verification"]["num_images"] == metrics["n"]
    assert manifest["provenance"]["sha256"]["weights"] == metrics["weights_sha256"]


def test_the_whole_graph_again_in_another_place_gives_the_same_bytes(project, tmp_path):
    """From the download to the exported artifact, on the same machine."""
    clone = tmp_path / "elsewhere" / "clone"
    clone.parent.mkdir()
    call(project, "git", "clone", "--quiet", project, clone)
    assert not (clone / "dvc.lock").exists()
    assert executed(dvc(clone, "repro").stdout) == list(STAGES)
    for name in ("data/processed", "models", "reports/evaluate", "reports/export", "artifacts"):
        files = sorted(path for path in (project / name).rglob("*") if path.is_file())
        assert files
        again = sorted(path for path in (clone / name).rglob("*") if path.is_file())
        names = [path.relative_to(project) for path in files]
        assert names == [path.relative_to(clone) for path in again]
        for path in names:
            assert (project / path).read_bytes() == (clone / path).read_bytes(), path
    shutil.rmtree(clone)


def test_the_console_script_predicts_with_what_came_out(project):
    command = (sys.executable, "-m", "alexnet.cli.main", "predict", "artifacts")
    result = call(project, *command, "artifacts/samples/00.png", "--json", "--top", "2")
    (row,) = json.loads(result.stdout)
    expected = json.loads((project / "artifacts/samples/expected.json").read_text())[0]
    assert row["predictions"][0]["label"] == expected["label"]
    assert len(row["predictions"]) == 2


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("val_fraction: 0.1", "val_fraction: 0.2", STAGES[2:]),
        ("name: digits", "name: mnist", STAGES[1:]),
        ("dropout: 0.0", "dropout: 0.5", STAGES[3:]),
        ("epochs: 2", "epochs: 3", ["train", *STAGES[5:]]),
        ("tensorboard: false", "tensorboard: true", []),
        ("calibration_bins: 15", "calibration_bins: 10", STAGES[5:]),
        ("min_accuracy: 0.2", "min_accuracy: 0.1", ["gate", "export"]),
        ("seeds: []", "seeds: [1]", ["repeat", "plot"]),
        ("num_mistakes: 24", "num_mistakes: 6", ["plot"]),
        ("num_samples: 8", "num_samples: 4", ["export"]),
    ],
)
def test_a_changed_parameter_reruns_its_stages_and_those_after_them(
    project, params, old, new, expected
):
    text = params.read_text()
    assert text.count(old) == 1
    params.write_text(text.replace(old, new))
    assert outdated(project) == set(expected)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("alexnet/data/splits.py", STAGES[1:]),
        ("alexnet/network/model.py", ["pretrained", *STAGES[3:]]),
        ("alexnet/training/augmentation.py", STAGES[3:]),
        ("alexnet/evaluation/metrics.py", STAGES[4:]),
        ("alexnet/report/sections.py", ["plot"]),
        ("alexnet/report/report.html.j2", ["plot"]),
        ("alexnet/export/graph.py", ["export"]),
        ("alexnet/cli/app.py", []),
        ("stages/runtime/engine.py", []),
        ("alexnet/report/__pycache__/sections.cpython-311.pyc", []),
    ],
)
def test_a_change_in_the_code_reruns_its_stages_and_those_after_them(project, file, expected):
    path = project / file
    path.parent.mkdir(exist_ok=True)
    before = path.read_bytes() if path.exists() else b""
    path.write_bytes(before + b"\n# a change\n")
    try:
        assert outdated(project) == set(expected)
    finally:
        path.write_bytes(before)


def outdated(project: Path) -> set[str]:
    """The stages that DVC finds changed, and all that depend on them."""
    return closure(project, set(json.loads(dvc(project, "status", "--json").stdout or "{}")))


def closure(project: Path, changed: set[str]) -> set[str]:
    edges = {
        tuple(stage.strip('" ;') for stage in line.split("->"))
        for line in dvc(project, "dag", "--dot").stdout.splitlines()
        if "->" in line
    }
    while True:
        reached = changed | {after for before, after in edges if before in changed}
        if reached == changed:
            return changed
        changed = reached


def test_training_again_to_the_same_bytes_reruns_nothing_after_it(project):
    shutil.rmtree(project / ".checkpoints", ignore_errors=True)
    again = dvc(project, "repro", "--force", "--single-item", "train")
    assert executed(again.stdout) == ["train"]
    assert "initial loss" in again.stdout, "it has trained, from the first step on"
    result = dvc(project, "repro")
    assert executed(result.stdout) == []


def test_a_model_below_the_threshold_is_recorded_and_not_exported(project, params):
    params.write_text(params.read_text().replace("min_accuracy: 0.2", "min_accuracy: 1.0"))
    result = dvc(project, "repro", "export")
    assert "is below the threshold of 1.0000. The run is recorded, and the model" in result.stderr
    assert executed(result.stdout) == ["gate", "export"]
    assert os.listdir(project / "artifacts") == ["NOT_EXPORTED.txt"]
    for command in (["stages.gate", "--check"], ["alexnet.cli.main", "verify", "artifacts"]):
        alone = call(project, sys.executable, "-m", *command, check=False)
        assert alone.returncode == 1
        assert "did not pass the gate" in alone.stderr
        assert "Traceback" not in alone.stderr
    params.write_text(params.read_text().replace("min_accuracy: 1.0", "min_accuracy: 0.2"))
    dvc(project, "repro")


def test_dvc_shows_plots_and_metrics(project):
    metrics = json.loads(dvc(project, "metrics", "show", "--json").stdout)
    files = metrics[""]["data"]
    assert "test_accuracy_percent" in files["reports/summary.json"]["data"]
    dvc(project, "metrics", "diff")
    dvc(project, "plots", "show", "--out", "plots")
    page = (project / "plots/index.html").read_text()
    for title in ("Loss", "Accuracy", "Learning rate", "Confusion"):
        assert title in page
    shutil.rmtree(project / "plots")


def test_an_experiment_below_the_threshold_is_recorded_in_a_narrow_table(project):
    """In a folder of its own: `--temp` leaves the workspace as it was, and to the other tests."""
    commit(project)
    changes = ["-S", "train.epochs=1", "-S", "gate.min_accuracy=1.0"]
    result = dvc(project, "exp", "run", "--temp", "--name=short", *changes)
    assert "Ran experiment" in result.stdout
    assert "epochs: 2" in (project / "params.yaml").read_text()
    table = dvc(project, "exp", "show", "--only-changed", "--drop=.*/", "--csv").stdout
    rows = {row["Experiment"]: row for row in csv.DictReader(table.splitlines())}
    assert len(rows["short"]) < 14
    names = ("train.epochs", "gate.min_accuracy", "epoch", "gate_passed")
    assert [rows["short"][name] for name in names] == ["1", "1.0", "1", "False"]
