"""The network of an exported artifact gives the logits that the artifact gives."""

import shutil

import numpy as np
import pytest
import torch

from alexnet.errors import UserError
from alexnet.export.graph import run_onnx
from alexnet.files import sha256
from alexnet.network.inputs import normalise
from alexnet.pretrained import artifact as room
from alexnet.pretrained.artifact import read_artifact
from tests.artifacts import METADATA, export_model
from tests.conftest import real_digits
from tests.runs import narrow


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """An artifact of a network with the whole of fc1, whose biases are zeros."""
    folder = tmp_path_factory.mktemp("plain") / "artifacts"
    torch.manual_seed(0)
    model = narrow().eval()
    torch.nn.init.normal_(model.fc3.weight, std=0.05)
    options = {"num_samples": 4, "collapse_fc1": "off", "precisions": ["fp32"]}
    export_model(folder, model, METADATA, real_digits()[0][:40], **options)
    return folder


@pytest.mark.parametrize("name", ["artifact", pytest.param("plain", marks=pytest.mark.slow)])
def test_the_logits_are_the_artifacts(name, small, request):
    folder = request.getfixturevalue(name)
    parent, model, metadata = read_artifact(folder)
    assert metadata == METADATA
    assert (parent.kind, parent.sha256) == ("artifact", sha256(folder / "model.onnx"))
    assert not model.training
    images = real_digits()[0][:100]
    expected = run_onnx(folder / "model.onnx", images.numpy(), 100)["logits"]
    with torch.inference_mode():
        logits = model(normalise(images, metadata.mean, metadata.std)).numpy()
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    copies = model.fc1.weight.detach().view(256, 16, 36)
    assert bool((copies == copies[:, :, :1]).all()) == (name == "artifact")


def test_a_changed_artifact_is_refused(artifact, small, tmp_path):
    folder = shutil.copytree(artifact, tmp_path / "changed")
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"differs from what its sender exported:\n  model\.onnx:"):
        read_artifact(folder)


def test_weights_that_give_other_probabilities_are_refused(artifact, small, monkeypatch):
    monkeypatch.setattr(room, "expand_collapsed", lambda weight, number: weight.repeat(1, 36) / 36)
    with pytest.raises(UserError, match=r"model\.onnx: .* give another probability for 0.*\.png"):
        read_artifact(artifact)


def test_a_network_of_other_layers_is_refused(artifact):
    """The variant's own: what the file says is not what it holds."""
    with pytest.raises(UserError, match=r"model\.onnx is not of the variant cifar: .*conv1"):
        read_artifact(artifact)
