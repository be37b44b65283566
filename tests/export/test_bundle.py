"""The exported model and its folder, checked against PyTorch."""

import hashlib
import json
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from sklearn.datasets import load_sample_images
from torch import nn

from alexnet import config
from alexnet.errors import UserError
from alexnet.evaluation.evaluate import logits_of
from alexnet.export import graph
from alexnet.export.dataset_cards import DATASET_CARDS
from alexnet.inference.predictor import MODEL_FILENAMES
from alexnet.network.model import VARIANTS, AlexNet
from alexnet.network.weights import ModelMetadata
from tests.artifacts import (
    LAX,
    METADATA,
    METRICS,
    PROVENANCE,
    confident_model,
    export_model,
)
from tests.conftest import CLASSES
from tests.runs import CPU, narrow


@pytest.fixture(scope="module")
def exported(tmp_path_factory, digits):
    """(folder, model, its ONNX graph) of the whole network."""
    model = confident_model(METADATA)
    folder = tmp_path_factory.mktemp("exported") / "artifacts"
    export_model(folder, model, METADATA, digits[0][:60])
    return folder, model, onnx.load(folder / "model.onnx")


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def op_types(path):
    return {node.op_type for node in onnx.load(path).graph.node}


@pytest.mark.parametrize("batch_size", [1, 50])
def test_outputs_equal_pytorchs(exported, digits, batch_size):
    """On images other than those of the export, which checks the logits at all batch sizes."""
    assert graph.BATCH_SIZES == (1, 2, 7, 256)
    folder, model, _ = exported
    images = digits[0][-64:]
    expected = logits_of(model, METADATA, images, CPU, 64)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for start in range(0, len(images), batch_size):
        batch = slice(start, start + batch_size)
        logits, probabilities = session.run(
            ["logits", "probabilities"], {"images": images[batch].numpy()}
        )
        assert np.abs(logits - expected[batch].numpy()).max() <= 1e-4
        np.testing.assert_allclose(probabilities, expected[batch].softmax(1).numpy(), atol=1e-4)


def test_graph_interface_operators_and_size(exported):
    folder, _, model = exported
    onnx.checker.check_model(model, full_check=True)
    (images,) = model.graph.input
    dims = images.type.tensor_type.shape.dim
    assert images.name == "images"
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert dims[0].dim_param == "batch"
    assert [dim.dim_value for dim in dims[1:]] == [32, 32, 3]
    assert [output.name for output in model.graph.output] == ["logits", "probabilities"]
    operators = op_types(folder / "model.onnx")
    assert {"Conv", "Relu", "MaxPool", "Gemm"} <= operators
    assert operators <= {
        *("Cast", "Sub", "Div", "Transpose", "Conv", "Relu", "MaxPool"),
        *("Reshape", "Gemm", "Softmax"),
    }
    assert (folder / "model.onnx").stat().st_size < 90e6, "fc1 is collapsed"
    assert str(folder.parent).encode() not in (folder / "model.onnx").read_bytes()


def test_metadata_of_the_model_file_and_manifest(exported):
    folder, _, model = exported
    manifest = manifest_of(folder)
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {"manifest.json", "SHA256SUMS"}
    }
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == files
    assert manifest["schema"] == 3
    assert manifest["parameters"] == 58_322_314
    assert manifest["fc1_collapsed"] is True
    assert manifest["num_samples"] == len(list((folder / "samples").glob("[0-9]*"))) == 8
    assert manifest["verification"]["num_images"] == 60
    assert json.loads((folder / "labels.json").read_text()) == list(CLASSES)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert properties["Image.BitmapPixelFormat"] == "Rgb8"
    assert properties["Image.ColorSpaceGamma"] == "SRGB"
    assert properties["Image.NominalPixelRange"] == "NominalRange_0_255"
    assert json.loads(properties["classes"]) == list(CLASSES)
    assert json.loads(properties["provenance"]) == manifest["provenance"]
    assert json.loads(properties["preprocessing"]) == manifest["preprocessing"]


def test_model_card_has_metrics_limitations_terms_and_citations(exported):
    card = (exported[0] / "MODEL_CARD.md").read_text()
    assert "50.00 %" in card
    assert "| balanced accuracy (the mean recall) | 75.00 % |" in card
    assert "Class imbalance: 900 training images of zero, 40 of one (22.5 : 1)." in card
    assert card.count("| 0.2500 | 0.7500 | 30 |") == len(CLASSES)
    assert "Duplicates found in preprocessing: 2 images" in card
    for part in ("MIT license", "CC BY 4.0", "NeurIPS 2012", "always answers with one of these"):
        assert part in card
    for part in (*DATASET_CARDS["digits"].limitations, *DATASET_CARDS["digits"].citations):
        assert f"- {part}\n" in card
    assert "{{" not in card
    assert "{%" not in card


def test_what_training_started_from_is_in_manifest_statement_and_card(exported, tmp_path, digits):
    """Of ImageNet's weights their source and terms, too; without any, no word of it."""
    model = narrow().eval()
    cards = {}
    for kind, matched in (("imagenet", ()), ("artifact", ("zero", "a|b"))):
        start = {"parent": {"kind": kind, "sha256": "ab" * 32}, "matched": list(matched)}
        start |= {"new": ["nine"], "dropped": ["ten", "x"], "freeze": "features"}
        given = {
            "warm_start": start,
            "provenance": PROVENANCE | {"sha256": {"pretrained": "ab" * 32}},
        }
        given |= {"metrics": METRICS | {"n": 40, "linear_probe_accuracy": 0.625}}
        export_model(tmp_path / kind, model, METADATA, digits[0][:40], given, num_samples=4)
        assert manifest_of(tmp_path / kind)["warm_start"] == start
        statement = json.loads((tmp_path / kind / "provenance.intoto.json").read_text())
        inputs = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        assert {"name": "pretrained", "digest": {"sha256": "ab" * 32}} in inputs
        cards[kind] = (tmp_path / kind / "MODEL_CARD.md").read_text()
        assert "ab" * 32 in cards[kind]
        assert "frozen in training: the convolutions" in cards[kind]
        assert "62.50 % of the test images correctly, this model 50.00 %" in cards[kind]
    for text in ("AlexNet_Weights.IMAGENET1K_V1", "BSD-3-Clause", "not commercial", "Russakovsky"):
        assert text in cards["imagenet"]
        assert text not in cards["artifact"]
    for text in ("by name: zero, a&#124;b.", "New classes: nine.", "no longer has: ten, x."):
        assert text in cards["artifact"]
        assert text not in cards["imagenet"]
    assert "warm_start" not in manifest_of(exported[0])
    assert "tarted from" not in (exported[0] / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("name", get_args(config.Data.model_fields["name"].annotation))
def test_every_data_set_has_limitations_and_terms(name):
    assert DATASET_CARDS[name].limitations
    assert DATASET_CARDS[name].terms


@pytest.mark.parametrize(
    "value", [float("nan"), pytest.param(float("-inf"), marks=pytest.mark.slow)]
)
def test_non_finite_weights_are_not_exported(tmp_path, digits, value):
    """A channel at minus infinity is 0 after its ReLU: no output would show it."""
    model = narrow().eval()
    with torch.no_grad():
        model.conv4.bias[0] = value
    with pytest.raises(UserError, match=r"conv4.bias holds values that are not finite"):
        export_model(tmp_path / "artifacts", model, METADATA, digits[0][:20])
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_differs_from_pytorch_is_not_exported(exported, tmp_path, digits, monkeypatch):
    folder, model, _ = exported
    target = tmp_path / "artifacts"
    target.mkdir()
    (target / "model.onnx").write_text("good")

    def write_other_weights(path, *arguments, **options):
        loaded = onnx.load(folder / "model.onnx")
        for tensor in loaded.graph.initializer:
            if tensor.dims == [10, 4096]:
                values = onnx.numpy_helper.to_array(tensor) + np.float32(0.01)
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        onnx.save(loaded, path)

    monkeypatch.setattr(graph, "write_onnx", write_other_weights)
    with pytest.raises(UserError, match=r"differs from PyTorch's .*nothing was exported"):
        export_model(target, model, METADATA, digits[0][:20])
    assert [path.read_text() for path in target.iterdir()] == ["good"]
    assert list(tmp_path.iterdir()) == [target]


class AlexNetBatchNorm(AlexNet):
    """A small variant with batch normalisation; `norm` stands between the average pool and fc1."""

    variant = "batch-norm"
    image_size = smallest_size = 32

    def __init__(self, norm: nn.Module) -> None:
        super().__init__(num_classes=10, in_channels=3)
        self.conv1 = nn.Conv2d(3, 8, kernel_size=11, stride=4, padding=4)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu1 = nn.ReLU()
        self.pool5 = nn.MaxPool2d(kernel_size=8, stride=8)
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.flatten = nn.Flatten()
        self.norm = norm
        self.fc1 = nn.Linear(8 * 6 * 6, 16)
        self.bn6 = nn.BatchNorm1d(16)
        self.fc3 = nn.Linear(16, 10)

    def forward(self, x):
        for layer in self.children():
            x = layer(x)
        return x


@pytest.mark.slow
@pytest.mark.parametrize(
    ("norm", "collapsed"), [(nn.Dropout(0.5), True), (nn.BatchNorm1d(288), False)]
)
def test_a_variant_with_batch_normalisation(tmp_path, digits, norm, collapsed):
    """With its running statistics, in every precision; fc1 is collapsed where that is exact."""
    torch.manual_seed(0)
    model = AlexNetBatchNorm(norm)
    for start in range(0, 512, 64):  # fills the running statistics
        model((digits[0][start : start + 64].permute(0, 3, 1, 2) / 255 - 0.4) / 0.25)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    folder = tmp_path / "artifacts"
    results = export_model(
        folder, model, METADATA, digits[0][:300], precisions=list(MODEL_FILENAMES), **LAX
    )
    assert results["max_logit_difference"] <= 1e-4
    assert results["fc1_collapsed"] is manifest_of(folder)["fc1_collapsed"] is collapsed
    assert set(results["precisions"]) == set(MODEL_FILENAMES)
    assert all(row["label_change_rate"] < 0.1 for row in results["precisions"].values())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.slow
def test_grey_images_with_and_without_collapsed_fc1(tmp_path, digits):
    metadata = ModelMetadata("cifar", CLASSES, 32, (0.5,), (0.25,))
    model = confident_model(metadata)
    images = digits[0][:64, :, :, :1].contiguous()
    expected = logits_of(model, metadata, images, CPU, 64).numpy()
    for collapse_fc1 in (True, False):
        path = tmp_path / f"{collapse_fc1}.onnx"
        graph.write_onnx(path, model, metadata, {}, opset=18, collapse_fc1=collapse_fc1)
        graph.verify_against_pytorch(path, images.numpy(), expected, 1e-4)
    assert (tmp_path / "False.onnx").stat().st_size > 2 * (tmp_path / "True.onnx").stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["imagenet-2012", "one-weird-trick"])
def test_the_larger_variants_match_pytorch(tmp_path, variant):
    """At their own size and 1000 classes, with random weights; fc1 has no copies to collapse."""
    size = VARIANTS[variant].image_size
    classes = tuple(f"class {k}" for k in range(1000))
    metadata = ModelMetadata(variant, classes, size, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    photos = np.stack(
        [
            image[:size, left : left + size]
            for image in load_sample_images().images
            for left in (0, 200, 400)
        ]
    )
    folder = tmp_path / "artifacts"
    export_model(folder, confident_model(metadata), metadata, torch.from_numpy(photos))
    assert manifest_of(folder)["fc1_collapsed"] is False
    assert manifest_of(folder)["input"]["shape"] == ["batch", size, size, 3]
    operators = op_types(folder / "model.onnx")
    assert {"Conv", "Relu", "MaxPool", "Gemm"} <= operators
    assert not {name for name in operators if name.startswith(("Gather", "Scatter", "Loop", "If"))}
