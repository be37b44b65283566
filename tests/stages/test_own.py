"""`make own`: parameters for a person's own images, and the whole pipeline on them."""

import json
import re
import shutil
import sys

import pytest

from alexnet import config
from alexnet.errors import UserError
from alexnet.evaluation.results import ClassMetrics, Metrics
from stages import own, paths
from tests.conftest import ROOT
from tests.data.making import make_files, write_folder
from tests.stages.projects import call, dvc


def measured(accuracy):
    """Metrics of 40 test images, 30 of one class."""
    return Metrics(
        n=40,
        accuracy=accuracy,
        loss=1.0,
        calibration_error=0.1,
        per_class={"cat": ClassMetrics(0.5, 0.5, 30), "dog": ClassMetrics(0.5, 0.5, 10)},
        weights_sha256="abc",
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A checkout without code, whose parts are recorded instead of run."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / paths.PARAMS, tmp_path)
    shutil.copytree(ROOT / paths.PRESETS, tmp_path / paths.PRESETS)
    monkeypatch.setattr(own, "read_metrics", lambda path: measured(0.6))
    monkeypatch.setattr(own, "_call", lambda *command: None)
    return tmp_path


def test_a_name_with_spaces_and_quotes_becomes_an_absolute_source(project):
    images = project / 'my "own": it\'s # 200'
    images.mkdir()
    own.own(images.name)
    values = config.load(own.WORKSPACE / paths.PARAMS)
    assert (values.data.name, values.data.source) == ("folder", str(images))
    assert values.gate.min_accuracy is None
    assert values.train.batch_size < 130, "of 200 images, 130 or so train"


def test_a_second_call_keeps_what_was_changed(project):
    (project / "one").mkdir()
    (project / "two").mkdir()
    own.own("one")
    params = own.WORKSPACE / paths.PARAMS
    params.write_text(re.sub(r"  epochs: \d+", "  epochs: 3", params.read_text()))
    own.own()
    assert config.load(params).data.source == str(project / "one")
    own.own("two", start="imagenet")
    values = config.load(params)
    assert (values.data.source, values.model.start_from) == (str(project / "two"), "imagenet")
    assert values.gate.min_accuracy is None
    own.own("one")
    assert config.load(params).train.epochs == values.train.epochs == 20


@pytest.mark.parametrize(
    ("images", "start", "message"),
    [
        ("", "", "no images are named; make own IMAGES=path/to/images, a folder"),
        ("my images", "", "IMAGES: {0}/my images does not exist; make own IMAGES="),
        (".", "my weights", "START: {0}/my weights does not exist"),
    ],
)
def test_a_mistake_leaves_no_workspace(project, images, start, message):
    with pytest.raises(UserError) as error:
        own.own(images, start)
    assert str(error.value).startswith(message.format(project))
    assert not own.WORKSPACE.exists()


def test_the_end_says_how_far_the_accuracy_can_be_believed():
    line = own.closing_lines(measured(0.9), "")
    assert line[1] == (
        "accuracy 90.0% on 40 test images, standard error 4.7%; always predicting the most "
        "frequent class: 75.0%"
    )
    assert not any("chance" in each for each in line)
    assert any("START=imagenet" in each for each in line)
    line = own.closing_lines(measured(0.8), "imagenet")
    assert line[2].startswith("that may be chance")
    assert not any("START=imagenet" in each for each in line)


@pytest.mark.slow
def test_from_images_to_a_verified_artifact_and_an_experiment(tmp_path):
    for name in ("alexnet", "stages", "demo", "presets"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/.gitignore", tmp_path / ".dvc")
    preset = tmp_path / "presets/own.yaml"
    preset.write_text(re.sub(r"epochs: \d+", "epochs: 2", preset.read_text()))
    write_folder(tmp_path / "it's mine", make_files(60, classes=("cat", "dog", "ox")))
    command = [sys.executable, "-m", "stages.own"]
    first = call(tmp_path, *command, IMAGES="it's mine", PYTHONPATH=str(tmp_path))
    assert "The model, verified: .own/artifacts/" in first.stdout
    workspace = tmp_path / own.WORKSPACE
    labels = json.loads((workspace / "artifacts/labels.json").read_text())
    assert labels == ["cat", "dog", "ox"]
    again = call(tmp_path, *command, PYTHONPATH=str(tmp_path))
    assert "Running stage" not in again.stdout
    tried = dvc(workspace, "exp", "run", "--queue", "-S", "train.epochs=3")
    assert "Queued experiment" in tried.stdout
    broken = tmp_path / "flat"
    broken.mkdir()
    shutil.copy(tmp_path / "it's mine/cat/000.png", broken)
    flat = call(tmp_path, *command, check=False, IMAGES="flat", PYTHONPATH=str(tmp_path))
    assert flat.returncode != 0
    assert "Traceback" not in flat.stdout + flat.stderr
    assert "000.png lies in no class" in flat.stdout + flat.stderr
