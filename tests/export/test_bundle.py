"""The exported model and its folder: what a receiver gets, held to PyTorch."""

import hashlib
import json
import re
import subprocess
import sys
from typing import get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from alexnet import config
from alexnet.errors import UserError
from alexnet.evaluation.evaluate import logits_of
from alexnet.export import graph as export
from alexnet.export.dataset_cards import DATASET_CARDS
from alexnet.inference.predictor import Predictor
from alexnet.network.model import VARIANTS
from alexnet.network.weights import ModelMetadata
from tests.conftest import CLASSES, ROOT
from tests.handing import METRICS, confident, export_to, small_handoff
from tests.making import narrow


@pytest.fixture(scope="module")
def handed_over(tmp_path_factory, digits):
    """(folder, model, card) of one export, shared by the tests that only look."""
    metadata = ModelMetadata("cifar", CLASSES, 32, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    model = confident(metadata)
    folder = tmp_path_factory.mktemp("handoff") / "artifacts"
    export_to(folder, model, metadata, digits[0][:300], config.load(ROOT / "params.yaml"))
    return folder, model, metadata


@pytest.mark.parametrize("batch_size", [1, 2, 7, 256])
def test_outputs_equal_pytorchs(handed_over, digits, batch_size):
    folder, model, metadata = handed_over
    images = digits[0][-256:]
    expected = logits_of(model, metadata, images, torch.device("cpu"), 256)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    for start in range(0, 256, batch_size):
        batch = slice(start, start + batch_size)
        logits, probabilities, label = session.run(
            ["logits", "probabilities", "label"], {"images": images[batch].numpy()}
        )
        assert np.abs(logits - expected[batch].numpy()).max() <= 1e-4
        np.testing.assert_allclose(probabilities, expected[batch].softmax(1).numpy(), atol=1e-4)
        np.testing.assert_array_equal(label, expected[batch].argmax(1).numpy())


def test_the_graph_is_what_it_says(handed_over):
    folder, _, _ = handed_over
    model = onnx.load(folder / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    (given,) = model.graph.input
    dims = given.type.tensor_type.shape.dim
    assert given.name == "images"
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert dims[0].dim_param == "batch"
    assert [dim.dim_value for dim in dims[1:]] == [32, 32, 3]
    assert [out.name for out in model.graph.output] == ["logits", "probabilities", "label"]
    kinds = {node.op_type for node in model.graph.node}
    assert {"Conv", "Relu", "MaxPool", "Gemm"} <= kinds
    assert kinds <= {
        *("Cast", "Sub", "Div", "Transpose", "Conv", "Relu", "MaxPool"),
        *("Reshape", "Gemm", "Softmax", "ArgMax"),
    }
    assert (folder / "model.onnx").stat().st_size < 90e6, "folded"
    assert str(folder.parent).encode() not in (folder / "model.onnx").read_bytes()


def test_the_manifest_lists_every_file(handed_over):
    folder, _, _ = handed_over
    manifest = json.loads((folder / "manifest.json").read_text())
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in {"manifest.json", "SHA256SUMS"}
    }
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == files
    assert manifest["parameters"] == 58_322_314
    assert manifest["verification"]["num_images"] == 300
    assert json.loads((folder / "labels.json").read_text()) == list(CLASSES)


def test_the_samples_reproduce(handed_over):
    folder, _, _ = handed_over
    predictor = Predictor(folder)
    for row in json.loads((folder / "samples" / "expected.json").read_text()):
        (best,) = predictor.classify(folder / "samples" / row["file"], top=1)
        assert best.label == row["label"]
        assert best.probability == pytest.approx(row["probabilities"][row["label"]], abs=1e-5)


def printed_by_the_card(folder):
    """What the lines in MODEL_CARD.md print, run as written, in the folder."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "MODEL_CARD.md").read_text(), re.DOTALL)
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    label, probability = result.stdout.split()
    return label, float(probability), len(code.splitlines())


@pytest.mark.parametrize("stored_size", [32, 48])
def test_the_lines_in_the_model_card_run(tmp_path, stored_size):
    """Also where the network sees the middle of larger images, and for a photograph."""
    folder = small_handoff(tmp_path / "artifacts", stored_size=stored_size)
    label, probability, num_lines = printed_by_the_card(folder)
    first = json.loads((folder / "samples" / "expected.json").read_text())[0]
    assert label == first["label"]
    assert probability == pytest.approx(first["probabilities"][label], abs=1e-5)
    assert num_lines == 11, "ten and a blank one"
    Image.fromarray(load_sample_images().images[0]).save(folder / "samples" / "00.png")
    label, probability, _ = printed_by_the_card(folder)
    (best,) = Predictor(folder).classify(folder / "samples" / "00.png", top=1)
    assert (label, probability) == (best.label, pytest.approx(best.probability, abs=1e-5))


def test_the_model_card_says_what_one_has_to_know(handed_over):
    folder, _, _ = handed_over
    metadata = (folder / "MODEL_CARD.md").read_text()
    assert "50.00 %" in metadata
    assert metadata.count("| 0.2500 | 0.7500 | 30 |") == len(CLASSES)
    assert "Counted here: 2 images" in metadata
    for part in ("MIT license", "CC BY 4.0", "NeurIPS 2012", "always answers with one of them"):
        assert part in metadata
    assert "{{" not in metadata
    assert "{%" not in metadata


@pytest.mark.parametrize("name", get_args(config.Data.model_fields["name"].annotation))
def test_every_data_set_has_its_flaws_and_terms(name):
    assert DATASET_CARDS[name].limitations
    assert DATASET_CARDS[name].terms


def test_the_model_names_its_properties(handed_over):
    folder, _, metadata = handed_over
    properties = {
        entry.key: entry.value for entry in onnx.load(folder / "model.onnx").metadata_props
    }
    manifest = json.loads((folder / "manifest.json").read_text())
    assert properties["Image.BitmapPixelFormat"] == "Rgb8"
    assert properties["Image.ColorSpaceGamma"] == "SRGB"
    assert properties["Image.NominalPixelRange"] == "NominalRange_0_255"
    assert json.loads(properties["classes"]) == list(metadata.classes)
    assert json.loads(properties["provenance"]) == manifest["provenance"]
    assert json.loads(properties["preprocessing"]) == manifest["preprocessing"]


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(tmp_path, digits, metadata, params, value):
    """A channel at minus infinity ends in zeros behind its ReLU: no output would show it."""
    model = narrow().eval()
    with torch.no_grad():
        model.conv4.bias[0] = value
    with pytest.raises(UserError, match=r"conv4.bias holds values that are not finite"):
        export_to(tmp_path / "artifacts", model, metadata, digits[0][:20], params)
    assert list(tmp_path.iterdir()) == []


def test_an_accuracy_other_than_reported_is_refused(tmp_path, digits, metadata, params):
    metrics = METRICS | {"n": 20, "accuracy": 0.55}
    with pytest.raises(UserError, match=r"accuracy is 0.500000, evaluate reported 0.550000"):
        export_to(
            tmp_path / "artifacts",
            narrow().eval(),
            metadata,
            digits[0][:20],
            params,
            metrics=metrics,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_exporting_twice_gives_the_same_bytes(handed_over, tmp_path, digits, params):
    folder, model, metadata = handed_over
    again = tmp_path / "elsewhere"
    export_to(again, model, metadata, digits[0][:300], params)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes(), path


@pytest.mark.slow
def test_unfolded_grey_and_folded_agree(tmp_path, digits):
    metadata = ModelMetadata("cifar", CLASSES, 32, (0.5,), (0.25,))
    model = confident(metadata)
    images = digits[0][:64, :, :, :1].contiguous()
    expected = logits_of(model, metadata, images, torch.device("cpu"), 64).numpy()
    for collapse_fc1 in (True, False):
        path = tmp_path / f"{collapse_fc1}.onnx"
        export.write_onnx(path, model, metadata, {}, opset=20, collapse_fc1=collapse_fc1)
        export.verify(path, images.numpy(), expected, 1e-4)
    assert (tmp_path / "False.onnx").stat().st_size > 2 * (tmp_path / "True.onnx").stat().st_size


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["imagenet-2012", "one-weird-trick"])
def test_the_larger_variants_match_pytorch(tmp_path, params, variant):
    """At their own size and 1000 classes, with random weights; unfolded, for nothing is copied."""
    size = VARIANTS[variant].image_size
    classes = tuple(f"class {k}" for k in range(1000))
    metadata = ModelMetadata(variant, classes, size, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    model = confident(metadata)
    photos = np.stack(
        [
            image[:size, left : left + size]
            for image in load_sample_images().images
            for left in (0, 200, 400)
        ]
    )
    images = torch.from_numpy(photos)
    export_to(tmp_path / "artifacts", model, metadata, images, params)
    manifest = json.loads((tmp_path / "artifacts" / "manifest.json").read_text())
    assert manifest["folded"] is False
    assert manifest["input"]["shape"] == ["batch", size, size, 3]
    kinds = {node.op_type for node in onnx.load(tmp_path / "artifacts/model.onnx").graph.node}
    assert {"Conv", "Relu", "MaxPool", "Gemm"} <= kinds
    assert not {kind for kind in kinds if kind.startswith(("Gather", "Scatter", "Loop", "If"))}


def test_a_model_that_differs_is_not_exported(handed_over, tmp_path, digits, params, monkeypatch):
    folder, model, metadata = handed_over
    target = tmp_path / "artifacts"
    target.mkdir()
    (target / "good").write_text("good")

    def broken(path, *arguments, **options):
        path.write_bytes((folder / "model.onnx").read_bytes())
        with torch.no_grad():  # as if the exporter had written other weights
            loaded = onnx.load(path)
            for tensor in loaded.graph.initializer:
                if tensor.dims == [10, 4096]:
                    values = onnx.numpy_helper.to_array(tensor) + np.float32(0.01)
                    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
            onnx.save(loaded, path)

    monkeypatch.setattr(export, "write_onnx", broken)
    with pytest.raises(UserError, match=r"differs from PyTorch's .*nothing was exported"):
        export_to(target, model, metadata, digits[0][:20], params)
    assert [path.name for path in target.iterdir()] == ["good"]
    assert list(tmp_path.iterdir()) == [target]


def test_predict_takes_images_of_any_size_and_kind(handed_over, tmp_path):
    folder, _, _ = handed_over
    predictor = Predictor(folder / "model.onnx")
    for mode in ("RGB", "L", "RGBA", "P"):
        path = tmp_path / f"{mode}.png"
        Image.effect_mandelbrot((90, 60), (-2, -1.5, 1, 1.5), 50).convert(mode).save(path)
        guesses = predictor.classify(path, top=3)
        assert len({guess.label for guess in guesses}) == 3
        assert [guess.probability for guess in guesses] == sorted(
            (guess.probability for guess in guesses), reverse=True
        )


def test_predict_refuses_what_is_not_an_image_or_a_model(handed_over, tmp_path):
    folder, _, _ = handed_over
    with pytest.raises(UserError, match=r"none.png does not exist"):
        Predictor(folder).classify(tmp_path / "none.png", 1)
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(UserError, match=r"text.png does not decode as an image"):
        Predictor(folder).classify(tmp_path / "text.png", 1)
    with pytest.raises(UserError, match=r"model.onnx does not exist"):
        Predictor(tmp_path)
    (tmp_path / "model.onnx").write_text("not a model")
    with pytest.raises(UserError, match=r"is not a model that onnxruntime can run"):
        Predictor(tmp_path)
