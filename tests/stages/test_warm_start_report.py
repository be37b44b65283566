"""What the stages after training say of the weights that it started from, from end to end."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from alexnet.data.dataset import load_meta
from alexnet.errors import UserError
from alexnet.files import write_json
from alexnet.network.parent import Parent, ParentNetwork, save_parent
from alexnet.network.weights import VARIANTS, load_weights
from alexnet.training.warm_start import WarmStart
from stages import paths
from stages.evaluate import evaluate
from stages.export import export
from stages.gate import gate
from stages.plot import plot
from stages.profile import profile
from stages.repeat import repeat
from stages.train import train
from tests.conftest import ROOT, write_params
from tests.stages.attempts import SMALL, Narrow, in_forks

PARAMS = SMALL | {"gate__min_accuracy": 0.0, "train__epochs": 2, "train__device": "cpu"}
PARAMS |= {"train__precision": "fp32", "export__num_samples": 4}
START = WarmStart(Parent("weights", "ab" * 32), ("0", "1"), ("2",), ("ten",), "features")


def without() -> None:
    """Train and evaluate without a parent."""
    save_parent(paths.PRETRAINED, paths.PRETRAINED_RECORD, None)
    train(paths.PARAMS)
    write_json(paths.WARM_START, None)
    for stage in (profile, evaluate, repeat, plot):
        stage(paths.PARAMS)


def described() -> dict:
    """The run without a parent; then the same files as a run from one."""
    VARIANTS["cifar"] = Narrow
    write_params(Path(), **PARAMS)
    without()
    found = {"without": [path.read_text() for path in (paths.METRICS, paths.REPORT)]}
    found["pictures"] = sorted(path.name for path in paths.FIGURES.glob("*.png"))

    torch.manual_seed(1)
    model, metadata = (
        Narrow(10, load_meta(paths.PROCESSED).channels, 0.0),
        load_weights(paths.WEIGHTS)[1],
    )
    save_parent(
        paths.PRETRAINED, paths.PRETRAINED_RECORD, ParentNetwork(START.parent, model, metadata)
    )
    write_json(paths.WARM_START, asdict(START))
    for stage in (evaluate, gate, plot, export):
        stage(paths.PARAMS)
    written = paths.METRICS, paths.REPORT, paths.ARTIFACTS / "manifest.json"
    found["with"] = [path.read_text() for path in written]
    found["added"] = sorted(
        {path.name for path in paths.FIGURES.glob("*.png")} - {*found["pictures"]}
    )
    write_json(paths.WARM_START, asdict(replace(START, parent=Parent("weights", "cd" * 32))))
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
    probe = json.loads(metrics)["linear_probe_accuracy"]
    assert 0.3 < probe < 1, "of random convolutions"
    plain = json.loads(metrics)
    del plain["linear_probe_accuracy"]
    assert plain == json.loads(found["without"][0])
    assert f"classifies {100 * probe:.2f} % correctly" in page
    for text in ("2 of 3, by name", "abababababab", "<dd>the convolutions", "<dd>ten"):
        assert text in page
        assert text not in found["without"][1]
    described = json.loads(manifest)
    assert described["warm_start"] == json.loads(json.dumps(asdict(START)))
    assert described["metrics"]["linear_probe_accuracy"] == probe
    assert described["provenance"]["sha256"]["pretrained"] == START.parent.sha256
    assert found["added"] == ["parent_neighbours.png"]
    assert "other weights than the parent's; run the stage train again" in found["message"]
