"""The whole graph under DVC, on real digits: what runs, what reruns, what comes out."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import onnxruntime
import pytest
from PIL import Image

from alexnet.report.sections import PICTURES
from tests.conftest import ROOT, write_params

STAGES = ["download", "preprocess", "train", "evaluate", "gate", "plot", "export"]

pytestmark = pytest.mark.slow


def dvc(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    scripts = str(Path(sys.executable).parent)
    result = subprocess.run(
        ["dvc", *arguments],
        cwd=folder,
        env=os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}", "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def ran(result: subprocess.CompletedProcess[str]) -> list[str]:
    """The stages that `dvc repro` ran (or, when dry, would run)."""
    return [stage for stage in STAGES if f"Running stage '{stage}'" in result.stdout]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Path]:
    """A clone of the project in which the digits went through the whole graph, two epochs."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("alexnet", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, folder)
    (folder / ".dvc").mkdir()
    for name in (".gitignore", "config"):
        shutil.copy(ROOT / ".dvc" / name, folder / ".dvc")
    write_params(folder, train__epochs=2, gate__min_accuracy=0.2)
    for command in (
        ["init", "--quiet"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "-m", "a"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    assert ran(dvc(folder, "repro")) == STAGES
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
    assert ran(result) == []
    assert "Data and pipelines are up to date." in result.stdout


def test_tracked_files_stay_untouched(project):
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=project, capture_output=True, text=True, check=True
    )
    assert status.stdout.split() == ["??", "dvc.lock"]


def test_every_output_is_there(project):
    reports = project / "reports"
    metrics = json.loads((reports / "evaluate/metrics.json").read_text())
    assert metrics["n"] == 359
    assert metrics["accuracy"] > 0.2, "it has learned something"
    assert json.loads((reports / "gate.json").read_text())["passed"] is True
    assert len((reports / "train/history.csv").read_text().splitlines()) == 3
    assert len((reports / "train/layers.csv").read_text().splitlines()) == 1 + 2 * 8
    pictures = {path.stem for path in (reports / "figures").glob("*.png")}
    assert pictures == {picture.name for picture in PICTURES}
    for picture in (reports / "figures").glob("*.png"):
        with Image.open(picture) as image:
            image.verify()
    page = (reports / "report.html").read_text()
    assert f"{100 * metrics['accuracy']:.2f}" in page
    onnxruntime.InferenceSession(project / "artifacts/model.onnx")


def test_evaluate_and_export_agree(project):
    """The accuracy that was reported is that of the file that is handed over."""
    manifest = json.loads((project / "artifacts/manifest.json").read_text())
    metrics = json.loads((project / "reports/evaluate/metrics.json").read_text())
    assert manifest["metrics"]["accuracy"] == metrics["accuracy"]
    assert manifest["verification"]["num_images"] == metrics["n"]
    assert manifest["provenance"]["sha256"]["weights"] == metrics["weights_sha256"]


def test_the_whole_graph_again_in_another_place_gives_the_same_bytes(project, tmp_path):
    """From the download to the folder that is handed over, on the same machine."""
    clone = tmp_path / "elsewhere" / "clone"
    clone.parent.mkdir()
    subprocess.run(["git", "clone", "--quiet", project, clone], check=True)
    assert not (clone / "dvc.lock").exists()
    assert ran(dvc(clone, "repro")) == STAGES
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
    result = subprocess.run(
        [
            *(sys.executable, "-m", "alexnet.cli.main", "predict", "artifacts"),
            *("artifacts/samples/00.png", "--json", "--top", "2"),
        ],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    (row,) = json.loads(result.stdout)
    expected = json.loads((project / "artifacts/samples/expected.json").read_text())[0]
    assert row["predictions"][0]["label"] == expected["label"]
    assert len(row["predictions"]) == 2


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("val_fraction: 0.1", "val_fraction: 0.2", STAGES[1:]),
        ("name: digits", "name: mnist", STAGES),
        ("dropout: 0.0", "dropout: 0.5", STAGES[2:]),
        ("epochs: 2", "epochs: 3", STAGES[2:]),
        ("calibration_bins: 15", "calibration_bins: 10", STAGES[3:]),
        ("min_accuracy: 0.2", "min_accuracy: 0.1", ["gate", "export"]),
        ("num_mistakes: 24", "num_mistakes: 6", ["plot"]),
        ("num_samples: 8", "num_samples: 4", ["export"]),
    ],
)
def test_a_change_in_a_section_reruns_what_reads_it_and_what_follows(
    project, params, old, new, expected
):
    text = params.read_text()
    assert text.count(old) == 1
    params.write_text(text.replace(old, new))
    status = json.loads(dvc(project, "status", "--json").stdout or "{}")
    changed = set(status)
    # What follows is rerun when what it reads has changed: the closure over the graph.
    assert closure(project, changed) == set(expected)


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


def test_a_model_below_the_bar_is_not_exported(project, params):
    before = (project / "artifacts/manifest.json").read_bytes()
    params.write_text(params.read_text().replace("min_accuracy: 0.2", "min_accuracy: 1.0"))
    result = dvc(project, "repro", "export", check=False)
    assert result.returncode != 0
    assert "is below the threshold of 1.0000. Nothing is exported" in result.stderr
    assert ran(result) == ["gate"]
    assert (project / "artifacts/manifest.json").read_bytes() == before
    alone = subprocess.run(
        [sys.executable, "-m", "stages.export"], cwd=project, capture_output=True, text=True
    )
    assert alone.returncode == 1
    assert "did not pass the gate" in alone.stderr
    assert "Traceback" not in alone.stderr
    params.write_text(params.read_text().replace("min_accuracy: 1.0", "min_accuracy: 0.2"))
    dvc(project, "repro")


def test_dvc_shows_plots_and_metrics(project):
    metrics = json.loads(dvc(project, "metrics", "show", "--json").stdout)
    files = metrics[""]["data"]
    assert "accuracy" in files["reports/evaluate/metrics.json"]["data"]
    dvc(project, "metrics", "diff")
    dvc(project, "plots", "show", "--out", "plots")
    page = (project / "plots/index.html").read_text()
    for title in ("Loss", "Accuracy", "Learning rate", "Confusion"):
        assert title in page
    shutil.rmtree(project / "plots")


def test_an_experiment_leaves_the_workspace_as_it_was(project):
    """In a folder of its own; `--temp` also keeps it out of the other tests' way."""
    for command in (["add", "dvc.lock"], ["commit", "--quiet", "-m", "b"]):
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *command],
            cwd=project,
            check=True,
        )
    result = dvc(project, "exp", "run", "--temp", "-S", "train.epochs=1", "train")
    assert "Ran experiment" in result.stdout
    table = json.loads(dvc(project, "exp", "show", "--json").stdout)
    assert "train" in json.dumps(table)
    assert "epochs: 2" in (project / "params.yaml").read_text()
