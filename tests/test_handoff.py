"""The exported model and its folder: what a receiver gets, held to PyTorch."""

import hashlib
import json
import re
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from alexnet import config, export
from alexnet.errors import UserError
from alexnet.evaluate import logits_of
from alexnet.predict import Predictor
from alexnet.weights import Card
from tests.conftest import CLASSES, ROOT
from tests.handing import confident, export_to


@pytest.fixture(scope="module")
def handed_over(tmp_path_factory, digits):
    """(folder, model, card) of one export, shared by the tests that only look."""
    card = Card("cifar", CLASSES, 32, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    model = confident(card)
    folder = tmp_path_factory.mktemp("handoff") / "artifacts"
    export_to(folder, model, card, digits[0][:300], config.load(ROOT / "params.yaml"))
    return folder, model, card


@pytest.mark.parametrize("batch_size", [1, 2, 7, 256])
def test_outputs_equal_pytorchs(handed_over, digits, batch_size):
    folder, model, card = handed_over
    images = digits[0][-256:]
    expected = logits_of(model, card, images, torch.device("cpu"), 256)
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


def test_the_lines_in_the_model_card_run(handed_over):
    folder, _, _ = handed_over
    card = (folder / "MODEL_CARD.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    first = json.loads((folder / "samples" / "expected.json").read_text())[0]
    label, probability = printed.stdout.split()
    assert label == first["label"]
    assert float(probability) == pytest.approx(first["probabilities"][label], abs=1e-5)
    assert "50.00 %" in card
    assert "{{" not in card


@pytest.mark.slow
def test_exporting_twice_gives_the_same_bytes(handed_over, tmp_path, digits, params):
    folder, model, card = handed_over
    again = tmp_path / "elsewhere"
    export_to(again, model, card, digits[0][:300], params)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(folder)).read_bytes(), path


@pytest.mark.slow
def test_unfolded_grey_and_folded_agree(tmp_path, digits):
    card = Card("cifar", CLASSES, 32, (0.5,), (0.25,))
    model = confident(card)
    images = digits[0][:64, :, :, :1].contiguous()
    expected = logits_of(model, card, images, torch.device("cpu"), 64).numpy()
    for fold in (True, False):
        path = tmp_path / f"{fold}.onnx"
        export.write_onnx(path, model, card, {}, opset=20, fold=fold)
        export.verify(path, images.numpy(), expected, 1e-4)
    assert (tmp_path / "False.onnx").stat().st_size > 2 * (tmp_path / "True.onnx").stat().st_size


def test_a_model_that_differs_is_not_exported(handed_over, tmp_path, digits, params, monkeypatch):
    folder, model, card = handed_over
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
        export_to(target, model, card, digits[0][:20], params)
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
