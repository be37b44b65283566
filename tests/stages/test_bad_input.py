"""Users' mistakes at the command line: one message, exit code 1, no traceback, and the output
of an earlier run stays as it is."""

import errno
import io
import os
import re
import resource
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from alexnet.cli import app as command
from alexnet.files import sha256, write_json
from tests.conftest import ROOT, write_params
from tests.reports import GATE, METRICS

GOOD = "the output of an earlier run"


@pytest.fixture(scope="module")
def photos() -> list[bytes]:
    """Twelve different real photographs, as JPEG files."""
    crops = []
    for image in load_sample_images().images:
        for left in range(0, 600, 100):
            buffer = io.BytesIO()
            Image.fromarray(image[100:200, left : left + 100]).save(buffer, "JPEG")
            crops.append(buffer.getvalue())
    return crops


@pytest.fixture
def images(tmp_path, photos) -> Path:
    """train/ and test/ with six and three photographs of two classes each."""
    folder = tmp_path / "images"
    for split, numbers in (("train", range(6)), ("test", range(6, 9))):
        for name, offset in (("cat", 0), ("dog", 3)):
            (folder / split / name).mkdir(parents=True)
            for number in numbers:
                photo = photos[(number + offset) % len(photos)]
                (folder / split / name / f"{number}.jpg").write_bytes(photo)
    return folder


@pytest.fixture
def attempt(tmp_path, run):
    """Download and preprocess a source; returns the error message of the stage that fails."""

    def attempt(source: Path | None, **changes: object) -> str:
        if source is not None:
            changes = {"data__name": "folder", "data__source": str(source)} | changes
            changes["train__batch_size"] = 2  # there are few
        write_params(tmp_path, **changes)
        for stage, out in (("download", "raw/source.json"), ("preprocess", "processed/meta.json")):
            earlier = tmp_path / "data" / out
            earlier.parent.mkdir(parents=True, exist_ok=True)
            earlier.write_text(GOOD)
            start = time.perf_counter()
            result = run(stage)
            if result.returncode == 0:
                assert earlier.read_text() != GOOD, "a good run replaces it"
                continue
            assert time.perf_counter() - start < 15, "a few seconds on a quiet machine"
            assert result.returncode == 1
            *warnings, error = re.split("^error: ", result.stderr, flags=re.MULTILINE)
            assert len(warnings) == 1, result.stderr
            assert "Traceback" not in result.stderr + result.stdout
            assert earlier.read_text() == GOOD
            left = {path.name for path in (tmp_path / "data").iterdir()}
            assert left <= {"raw", "processed", ".partial"}, "nothing temporary is left"
            return error
        pytest.fail("accepted")

    return attempt


def test_good_images_are_accepted(tmp_path, images, run):
    changes = {"data__name": "folder", "data__source": str(images), "train__batch_size": 2}
    write_params(tmp_path, **changes)
    for stage in ("download", "preprocess"):
        result = run(stage)
        assert result.returncode == 0, result.stderr
    assert "2 classes, train 10, val 2, test 6 images of 32x32x3" in result.stdout


# One mistake for each place that finds it; tests/data and tests/test_config.py have the others.


def test_a_wrong_parameter(attempt):
    message = attempt(None, train__batch_size=-4, train__epoch=3)
    assert "params.yaml: train.epoch: no such key; did you mean train.epochs?" in message
    assert "train.batch_size: should be greater than or equal to 1 (got -4)" in message


def test_a_missing_path(attempt, tmp_path):
    assert f"{tmp_path}/nowhere does not exist" in attempt(tmp_path / "nowhere")


def test_a_wrong_digest_and_a_truncated_archive(attempt, tmp_path, images):
    path = tmp_path / "images.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(images, "")
    assert "its sha256 should be " + "0" * 64 in attempt(path, data__sha256="0" * 64)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    message = attempt(path)
    assert "images.tar.gz cannot be read" in message
    assert "get it again" in message


def test_an_image_that_does_not_decode(attempt, images):
    (images / "train/cat/3.jpg").write_bytes((images / "train/cat/3.jpg").read_bytes()[:500])
    assert "train/cat/3.jpg does not decode as an image" in attempt(images)


def test_stray_files(attempt, images):
    (images / "train/cat/notes.txt").write_text("?")
    message = attempt(images)
    assert "train/cat/notes.txt is no image of a kind that is read" in message
    assert "move it out of the folder of its class" in message


def test_a_full_disk(tmp_path, images, run):
    """By a limit on the size of files: a write fails in the middle."""
    changes = {"data__name": "folder", "data__source": str(images), "train__batch_size": 2}
    write_params(tmp_path, **changes)
    assert run("download").returncode == 0
    (tmp_path / "data/processed").mkdir()
    (tmp_path / "data/processed/meta.json").write_text(GOOD)
    result = subprocess.run(
        [sys.executable, "-m", "stages.preprocess"],
        cwd=tmp_path,
        # Without the second, Python would leave half-written bytecode of what it imports.
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PATH": ""},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "File too large" in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in (tmp_path / "data/processed").iterdir()] == ["meta.json"]
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"raw", "processed"}


@pytest.mark.parametrize(
    ("stage", "missing"),
    [
        ("preprocess", "data/raw/source.json"),
        ("train", "data/processed/meta.json"),
        ("profile", "data/processed/meta.json"),
        ("evaluate", "reports/train/warm_start.json"),
        ("gate", "reports/evaluate/metrics.json"),
        ("repeat", "reports/train/params.json"),
        ("plot", "reports/train/params.json"),
        ("export", "reports/gate.json"),
    ],
)
def test_a_stage_without_its_input(tmp_path, run, stage, missing):
    write_params(tmp_path)
    result = run(stage)
    assert result.returncode == 1
    assert f"error: {missing} does not exist; run the stage that writes it" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"params.yaml"}


def test_an_output_that_cannot_be_written_is_reported_before_the_training(tmp_path, run):
    write_params(tmp_path)
    for stage in ("download", "preprocess"):
        assert run(stage).returncode == 0
    (tmp_path / "models").write_text("a file where the folder belongs")
    result = run("train")
    assert result.returncode == 1
    assert result.stderr == "error: [Errno 17] File exists: 'models'\n"
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            errno.EROFS,
            "[Errno 30] Read-only file system: 'reports/gate.json'; mount the project for writing, "
            "or work in a copy of it",
        ),
        (
            errno.EACCES,
            "[Errno 13] Permission denied: 'reports/gate.json'; let user 4321 use it (chmod), or "
            "run as its owner",
        ),
    ],
)
def test_a_file_of_somebody_else_and_a_read_only_project(number, message, capsys, monkeypatch):
    def stage() -> None:
        raise OSError(number, os.strerror(number), "reports/gate.json")

    monkeypatch.setattr(os, "getuid", lambda: 4321)

    monkeypatch.setattr(sys, "argv", ["stage"])
    with pytest.raises(SystemExit) as stopped:
        command.run(stage)
    assert stopped.value.code == 1
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize(
    ("passed_gate", "message"),
    [
        (True, "weights.safetensors does not hold weights of this project"),
        (False, "gate.json belongs to other weights than models/weights.safetensors"),
    ],
)
def test_damaged_weights_are_not_exported(tmp_path, run, passed_gate, message):
    """Whether the gate has seen these bytes or those before the damage."""
    write_params(tmp_path)
    weights = tmp_path / "models" / "weights.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"damaged")
    digest = sha256(weights) if passed_gate else "0" * 64
    earlier = tmp_path / "artifacts" / "model.onnx"
    earlier.parent.mkdir()
    earlier.write_text(GOOD)
    write_json(tmp_path / "reports/gate.json", GATE | {"weights_sha256": digest})
    write_json(tmp_path / "reports/evaluate/metrics.json", METRICS)
    result = run("export")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert earlier.exists() != passed_gate, "from the gate on, it would pass for the new one"


@pytest.mark.parametrize(
    ("stage", "earlier"), [("gate", "reports/gate.json"), ("plot", "reports/figures/loss.png")]
)
def test_a_stage_that_fails_leaves_no_earlier_result(tmp_path, run, stage, earlier):
    write_params(tmp_path)
    (tmp_path / earlier).parent.mkdir(parents=True)
    (tmp_path / earlier).write_text('{"passed": true}')
    assert run(stage).returncode == 1
    assert not (tmp_path / earlier).exists()
