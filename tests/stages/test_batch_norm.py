"""A network with buffers goes through the whole pipeline as any other does."""

import csv
import json
import os
import shutil
from pathlib import Path

import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from alexnet.data.dataset import load_split
from alexnet.errors import UserError
from alexnet.network.reference.network import with_reference_operations
from alexnet.network.summary import summarize
from alexnet.network.weights import VARIANTS, load_weights
from alexnet.report.diagram import architecture
from stages import paths
from stages.evaluate import evaluate
from stages.export import export
from stages.gate import gate
from stages.plot import plot
from stages.profile import profile
from stages.repeat import repeat
from tests.batch_norm import AlexNetBatchNorm
from tests.conftest import ROOT, write_params
from tests.stages.attempts import (
    EVERY_STEP,
    NEVER,
    SMALL,
    TRAIN,
    Attempt,
    completed,
    in_forks,
    outcome,
    remove_outputs,
    steps_taken,
)

PARAMS = SMALL | TRAIN | {"gate__min_accuracy": 0.0, "export__precisions": ["fp32", "int8"]}
BUFFERS = ["bn1.running_mean", "bn1.running_var", "bn6.running_mean", "bn6.running_var"]


def use_it() -> None:
    VARIANTS["cifar"] = AlexNetBatchNorm


def trained() -> dict:
    """Bytes of an uninterrupted run, and of one killed twice; then the stages after training."""
    write_params(Path(), **PARAMS | NEVER)
    whole = completed(before=use_it)["bytes"]
    remove_outputs()
    write_params(Path(), **PARAMS | EVERY_STEP)
    for step in (5, 30):
        attempt = Attempt(before=use_it)
        attempt.wait_until(lambda step=step: steps_taken() >= step)
        attempt.send(9)
        assert attempt.end() == [-9], attempt.log()
    attempt = Attempt(before=use_it)
    assert attempt.end() == [0], attempt.log()
    result = {"whole": whole, "resumed": outcome(), "log": attempt.log()}
    use_it()
    for stage in (profile, evaluate, gate, repeat, plot, export):
        stage(paths.PARAMS)
    return result


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """The folder of the run, and what `trained` found."""
    folder = tmp_path_factory.mktemp("batch-norm")
    for part in ("data", "reports"):
        shutil.copytree(data / part, folder / part)
    before = Path.cwd()
    os.chdir(folder)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ALEXNET_CHECKPOINTS", "checkpoints")
            patch.setenv("PYTHONPATH", str(ROOT))
            patch.setitem(VARIANTS, "cifar", AlexNetBatchNorm)
            yield folder, in_forks(trained)
    finally:
        os.chdir(before)


pytestmark = pytest.mark.slow


def test_it_resumes_after_sigkill_to_the_same_bytes(run):
    _, found = run
    assert "resuming at step" in found["log"]
    assert found["resumed"] == found["whole"]


def test_its_buffers_are_averaged_and_saved(run):
    tensors = load_file(paths.WEIGHTS)
    assert tensors["bn1.num_batches_tracked"].dtype == torch.int64
    assert tensors["bn1.num_batches_tracked"] > 0
    fresh = AlexNetBatchNorm().state_dict()
    for name in BUFFERS:
        assert not torch.equal(tensors[name], fresh[name]), name


def test_it_is_evaluated_on_its_buffers_and_exported(run):
    """PyTorch on the saved weights, the evaluation's rows and onnxruntime give one answer."""
    model, metadata = load_weights(paths.WEIGHTS)
    images, labels = load_split(paths.PROCESSED, "test")
    session = onnxruntime.InferenceSession(paths.ARTIFACTS / "model.onnx")
    by_onnx = session.run(["logits"], {"images": images.numpy()})[0].argmax(axis=1)
    x = (images.float() / 255 - torch.tensor(metadata.mean)) / torch.tensor(metadata.std)
    with torch.no_grad():
        by_torch = model(x.permute(0, 3, 1, 2)).argmax(dim=1)
    with paths.PREDICTIONS.open() as file:
        rows = [row["predicted"] for row in csv.DictReader(file)]
    assert by_onnx.tolist() == by_torch.tolist()
    assert rows == [metadata.classes[label] for label in by_torch]
    metrics = json.loads(paths.METRICS.read_text())
    assert metrics["accuracy"] == (by_torch == labels).double().mean().item()
    assert metrics["accuracy"] > 0.3, "it has learned"


def test_summary_diagram_and_report_show_it_and_the_reference_names_it(run):
    layers = {layer.name: layer for layer in summarize(AlexNetBatchNorm())}
    assert (layers["bn1"].kind, layers["bn1"].parameters) == ("batch norm", 16)
    architecture(list(layers.values()), "a network with batch norm", (3, 32, 32))
    assert "bn1" in paths.REPORT.read_text()
    with pytest.raises(UserError, match=r"bn1.*BatchNorm2d"):
        with_reference_operations(AlexNetBatchNorm())
