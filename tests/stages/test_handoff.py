"""The exported artifact: its bytes, its provenance, and its use with the base installation."""

import contextlib
import json
import os
import shutil
import subprocess
import sys

import pytest
from safetensors.torch import save_file

from alexnet import config
from alexnet.data.dataset import Meta, save_meta
from alexnet.evaluation.evaluate import logits_of
from alexnet.network.weights import ModelMetadata, save_weights
from stages import paths
from stages.params import record
from tests.artifacts import confident_model
from tests.conftest import CLASSES, ROOT, real_digits, write_params
from tests.runs import CPU
from tests.stages.projects import call, commit

pytestmark = pytest.mark.slow
NUM_IMAGES = 40


def write_data(folder, images, labels, source):
    """data/processed with the same images in train and test; `source`: its path on this machine."""
    processed = folder / "data" / "processed"
    processed.mkdir(parents=True)
    for split in ("train", "test"):
        save_file({"images": images, "labels": labels}, processed / f"{split}.safetensors")
    counts = {name: int((labels == k).sum()) for k, name in enumerate(CLASSES)}
    meta = Meta(
        "digits", CLASSES, 32, 3, "torchvision", (0.5, 0.4, 0.3), (0.25, 0.2, 0.3),
        {"train": counts, "test": counts}, {}, (), source, "0" * 64,
    )  # fmt: skip
    save_meta(processed, meta)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Two clones in two places, each with an artifact of the same weights."""
    first = tmp_path_factory.mktemp("first") / "project"
    second = tmp_path_factory.mktemp("second") / "elsewhere" / "clone"
    first.mkdir()
    write_params(
        first,
        gate__min_accuracy=0.0,
        export__precisions=["fp32", "fp16", "int8"],
        export__max_label_change=0.5,
        export__max_accuracy_drop=0.5,
    )
    shutil.copy(ROOT / "train.lock", first)
    shutil.copy(ROOT / ".gitignore", first)
    call(first, "git", "init", "--quiet")
    commit(first)
    second.parent.mkdir()
    call(first, "git", "clone", "--quiet", str(first), str(second))

    metadata = ModelMetadata("cifar", CLASSES, 32, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    model = confident_model(metadata)
    images = real_digits()[0][:NUM_IMAGES]
    labels = logits_of(model, metadata, images, CPU, NUM_IMAGES).argmax(dim=1)
    save_weights(first / "models" / "weights.safetensors", model, metadata)
    write_data(first, images, labels, "/one/path")
    write_data(second, images, labels, "/quite/another/path")
    values = config.load(first / "params.yaml")
    with contextlib.chdir(first):
        for path in (paths.PREPROCESS_PARAMS, paths.TRAIN_PARAMS):
            record(path, values)
    for stage in ("evaluate", "gate"):
        call(first, sys.executable, "-m", f"stages.{stage}")
    for name in ("models", "reports"):
        shutil.copytree(first / name, second / name)
    for folder in (first, second):
        call(folder, sys.executable, "-m", "stages.export")
    yield first, second
    for folder in (first, second):
        shutil.rmtree(folder)


def test_two_clones_export_the_same_bytes(exported):
    first, second = (folder / "artifacts" for folder in exported)
    names = sorted(str(path.relative_to(first)) for path in first.rglob("*") if path.is_file())
    assert len(names) == 16 + 2 * 3, "two more precisions: expected outputs and config.pbtxt, too"
    assert names == sorted(str(p.relative_to(second)) for p in second.rglob("*") if p.is_file())
    for name in names:
        content = (first / name).read_bytes()
        assert content == (second / name).read_bytes(), name
        for path in (str(exported[0]), str(exported[1]), "/one/path", str(ROOT)):
            assert path.encode() not in content, name


def test_the_manifest_has_the_provenance(exported):
    origin = json.loads((exported[0] / "artifacts/manifest.json").read_text())["provenance"]
    revision = call(exported[0], "git", "rev-parse", "HEAD").stdout.strip()
    assert (origin["revision"], origin["dirty"]) == (revision, False)
    assert all(len(digest) == 64 for digest in origin["sha256"].values())
    assert set(origin["sha256"]) == {
        *("data_source", "test_images", "train_images", "requirements", "weights"),
    }
    assert {"data", "model", "train", "evaluate"} == set(origin["params"])


def test_the_manifest_states_how_the_images_were_resized(exported):
    manifest = json.loads((exported[0] / "artifacts/manifest.json").read_text())
    assert manifest["preprocessing"]["filter"] == "bilinear"


def test_the_base_install_verifies_and_predicts(exported, tmp_path):
    """As a receiver: a fresh environment, the package without extras, the artifact."""
    source = tmp_path / "source"
    for name in ("alexnet", "stages"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    # Without pip of its own: this environment's installs into it.
    call(tmp_path, sys.executable, "-m", "venv", "--without-pip", "fresh")
    python = tmp_path / "fresh" / "bin" / "python"
    call(
        tmp_path, sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "./source"
    )

    code = "from importlib.metadata import distributions as d; print(*(x.name for x in d()))"
    environment = {"PATH": os.environ["PATH"], "COLUMNS": "100"}
    folder = shutil.copytree(exported[0] / "artifacts", tmp_path / "received")

    def receiver(*command):
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    installed = set(receiver(str(python), "-c", code).stdout.lower().split())
    assert "onnxruntime" in installed
    assert not installed & {"torch", "onnx", "onnxscript", "safetensors", "dvc", "scikit-learn"}
    alexnet = str(python.with_name("alexnet"))
    verified = receiver(alexnet, "verify", "received")
    assert verified.returncode == 0, verified.stderr
    assert "reproduce 8 samples" in verified.stdout
    predicted = receiver(alexnet, "predict", "received", "received/samples", "--json")
    assert predicted.returncode == 0, predicted.stderr
    expected = json.loads((folder / "samples/expected.json").read_text())
    assert [row["predictions"][0]["label"] for row in json.loads(predicted.stdout)] == [
        row["label"] for row in expected
    ]
    (folder / "labels.json").write_text("[]")
    options = ("received/samples/00.png", "--precision", "int8", "--json", "--top", "1")
    (row,) = json.loads(receiver(alexnet, "predict", "received", *options).stdout)
    expected = json.loads((folder / "samples/expected.int8.json").read_text())[0]
    assert row["predictions"][0]["label"] == expected["label"]
    assert row["predictions"][0]["probability"] == pytest.approx(
        expected["probabilities"][expected["label"]], abs=1e-6
    )
    damaged = receiver(alexnet, "verify", "received")
    assert damaged.returncode == 1
    assert "labels.json: has 2 bytes" in damaged.stderr
