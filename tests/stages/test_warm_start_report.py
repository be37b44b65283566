"""What the stages after training say of the weights that it started from, from end to end."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from alexnet.errors import UserError
from alexnet.evaluation.warm_start import read_warm_start
from alexnet.files import sha256, write_json
from alexnet.network.parent import Parent
from alexnet.network.weights import VARIANTS, load_weights, save_weights
from stages import paths
from stages.evaluate import evaluate
from stages.export import export
from stages.gate import gate
from stages.plot import plot
from stages.pretrained import pretrained
from stages.profile import profile
from stages.repeat import repeat
from stages.train import train
from tests.conftest import ROOT, write_params
from tests.stages.attempts import SMALL, Narrow, in_forks

PARAMS = SMALL | {"gate__min_accuracy": 0.0, "train__epochs": 2, "train__device": "cpu"}
PARAMS |= {"train__precision": "fp32", "export__num_samples": 4}
STARTED = {"model__start_from": "parent.safetensors", "train__freeze": "features"}
CLASSES = ("ten", *"012345678")  # of the parent; the data set's are the ten digits


def described() -> dict:
    """A run without a parent; then one that starts from its weights, with other classes."""
    VARIANTS["cifar"] = Narrow
    write_params(Path(), **PARAMS)
    for stage in (pretrained, train, profile, evaluate, repeat, plot):
        stage(paths.PARAMS)
    found = {"without": [path.read_text() for path in (paths.METRICS, paths.REPORT)]}
    found["pictures"] = sorted(path.name for path in paths.FIGURES.glob("*.png"))

    model, metadata = load_weights(paths.WEIGHTS)
    save_weights(Path("parent.safetensors"), model, replace(metadata, classes=CLASSES))
    found["digest"] = sha256(Path("parent.safetensors"))
    write_params(Path(), **PARAMS | STARTED)
    for stage in (pretrained, train, profile, evaluate, gate, repeat, plot, export):
        stage(paths.PARAMS)
    written = paths.METRICS, paths.REPORT, paths.ARTIFACTS / "manifest.json"
    found["with"] = [path.read_text() for path in written]
    found["added"] = sorted(
        {path.name for path in paths.FIGURES.glob("*.png")} - {*found["pictures"]}
    )
    start = read_warm_start(paths.WARM_START)
    write_json(paths.WARM_START, asdict(replace(start, parent=Parent("weights", "cd" * 32))))
    try:
        plot(paths.PARAMS)
    except UserError as error:
        found["message"] = str(error)
    return found


@pytest.fixture
def found(data, tmp_path, monkeypatch) -> dict:
    for part in ("data", "reports"):
        shutil.copytree(data / part, tmp_path / part)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALEXNET_CHECKPOINTS", "checkpoints")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return in_forks(described)


@pytest.mark.slow
def test_metrics_page_and_manifest_name_the_parent(found):
    metrics, page, manifest = found["with"]
    probe, digest = json.loads(metrics)["linear_probe_accuracy"], found["digest"]
    assert 0.5 < probe < 1
    assert "linear_probe_accuracy" not in json.loads(found["without"][0])
    assert f"classifies {100 * probe:.2f} % correctly" in page
    for text in ("9 of 10, by name", f"SHA-256 {digest[:12]}", "<dd>the convolutions", "<dd>ten"):
        assert text in page
        assert text not in found["without"][1]
    described = json.loads(manifest)
    assert described["warm_start"] == {
        "parent": {"kind": "weights", "sha256": digest},
        "matched": [*"012345678"],
        "new": ["9"],
        "dropped": ["ten"],
        "freeze": "features",
    }
    assert described["metrics"]["linear_probe_accuracy"] == probe
    assert described["provenance"]["sha256"]["pretrained"] == digest
    assert found["added"] == ["parent_neighbours.png"]
    assert "other weights than the parent's; run the stage train again" in found["message"]
