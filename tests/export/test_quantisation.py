"""Fewer bits: what they are, what they cost, and that too high a cost is refused."""

import json
from typing import get_args

import numpy as np
import onnx
import pytest
import torch

from alexnet import config
from alexnet.evaluation.evaluate import logits_of
from alexnet.export import graph as export
from alexnet.export.quantisation import AccuracyReference, write_int8
from alexnet.inference.predictor import MODEL_FILENAMES, Predictor
from alexnet.inference.verification import MAX_DIFFERENCE, verify
from alexnet.network.weights import ModelMetadata
from tests.conftest import CLASSES, real_digits
from tests.handing import confident, export_to, small_handoff
from tests.making import CPU, narrow

CARD = ModelMetadata("cifar", CLASSES, 32, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
CHANNELS = [6, 16, 24, 24, 16, 256, 256]  # of conv1 to fc2 in a narrow network
ALL = ["int8", "fp32", "fp16"]  # in no order
LAX = {"max_accuracy_drop": 1.0, "max_changed": 1.0, "num_calibration_images": 32}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with all precisions of a narrow network."""
    return small_handoff(tmp_path_factory.mktemp("precision") / "artifacts", precisions=ALL, **LAX)


def kinds(path):
    """{type of an initializer: how many values in all}"""
    sizes = {}
    for tensor in onnx.load(path).graph.initializer:
        kind = onnx.TensorProto.DataType.Name(tensor.data_type)
        sizes[kind] = sizes.get(kind, 0) + int(np.prod(tensor.dims))
    return sizes


def test_the_names_of_precisions_are_the_same_everywhere():
    (listed,) = get_args(config.Export.model_fields["precisions"].annotation)
    assert list(get_args(listed)) == list(MODEL_FILENAMES) == list(MAX_DIFFERENCE)


def test_every_precision_is_in_the_folder_and_verified(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert list(manifest["precisions"]) == ["fp32", "fp16", "int8"]
    for name, row in manifest["precisions"].items():
        assert row["file"] == MODEL_FILENAMES[name]
        assert row["bytes"] == (folder / row["file"]).stat().st_size
        assert Predictor(folder, name).precision == name
    proof = verify(folder)
    assert set(proof.max_difference) == set(ALL)
    metadata = (folder / "MODEL_CARD.md").read_text()
    assert all(f"| `{name}` |" in metadata for name in MODEL_FILENAMES.values())


def test_weights_take_the_bits_that_the_name_says(folder):
    weights = sum(p.numel() for name, p in narrow().named_parameters() if "weight" in name)
    weights -= 35 * 16 * 256  # the folded network's
    half = kinds(folder / "model.fp16.onnx")
    assert half["FLOAT16"] >= weights > 1000 * half["FLOAT"], "but for the normalisation"
    quarter = kinds(folder / "model.int8.onnx")
    last, zero_points = 10 * 256, sum(CHANNELS)
    assert quarter["INT8"] == weights - last + zero_points
    scales = sum(CHANNELS) + len(CHANNELS) + 1
    assert quarter["FLOAT"] == last + scales + 6, "of the normalisation"


def test_int8_is_static_per_channel_and_cannot_overflow(folder):
    graph = onnx.load(folder / "model.int8.onnx").graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    assert {node.op_type for node in graph.node} & {"QuantizeLinear", "DequantizeLinear"}
    assert "DynamicQuantizeLinear" not in {node.op_type for node in graph.node}
    scales = [
        values[node.input[1]].size
        for node in graph.node
        if node.op_type == "DequantizeLinear" and values.get(node.input[0], np.empty(0)).ndim > 1
    ]
    assert scales == CHANNELS, "one for each output channel"
    for value in values.values():
        if value.dtype == np.int8 and value.ndim > 1:
            largest = int(np.abs(value.astype(int)).max())
            assert largest <= 64
            assert 2 * 255 * largest < 2**15


def test_outputs_and_their_types_are_those_of_fp32(folder):
    images = real_digits()[0][:7].numpy()
    full = export.run_onnx(folder / "model.onnx", images, 7)
    for name in ("fp16", "int8"):
        outputs = export.run_onnx(folder / MODEL_FILENAMES[name], images, 7)
        assert {k: v.dtype for k, v in outputs.items()} == {k: v.dtype for k, v in full.items()}
        np.testing.assert_allclose(
            outputs["probabilities"], full["probabilities"], atol=MAX_DIFFERENCE[name]
        )
        assert not np.array_equal(outputs["logits"], full["logits"])


def test_int8_is_close_because_it_was_shown_images(tmp_path):
    """Shown black squares alone it knows nothing of the values that occur."""
    torch.manual_seed(0)
    model = narrow().eval()
    images = real_digits()[0][:300].numpy()
    export.write_onnx(tmp_path / "full.onnx", model, CARD, {}, opset=20, collapse_fc1=True)
    full = export.run_onnx(tmp_path / "full.onnx", images, 256)["logits"]

    def error(shown):
        write_int8(tmp_path / "int8.onnx", tmp_path / "full.onnx", shown)
        logits = export.run_onnx(tmp_path / "int8.onnx", images, 256)["logits"]
        return np.abs(logits - full).max() / full.std()

    assert error(images[:64]) < 0.3
    assert error(np.zeros_like(images[:64])) > 1


@pytest.fixture
def judged(folder, params):
    """What judging the int8 file of `folder` says, on labels of which fp32 gets all right."""
    images = real_digits()[0][:40].numpy()
    full = export.run_onnx(folder / "model.onnx", images, 40)
    reference = AccuracyReference(images, full["label"], full["logits"])

    def judged(path, **changes):
        return reference.check_precision(path, params.export.model_copy(update=changes))

    return judged


def spoil(path, target, factor):
    """A copy of a model whose last layer's weights are multiplied by something."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.dims == [10, 256]:
            values = onnx.numpy_helper.to_array(tensor) * np.float32(factor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, target)


def test_what_costs_too_much_is_removed_and_says_why(folder, tmp_path, judged):
    path = tmp_path / "model.int8.onnx"
    spoil(folder / "model.onnx", path, -1)
    figures = judged(path, max_accuracy_drop=0.005, max_changed=0.03)
    assert not path.exists()
    drop = 100 * figures["accuracy_drop"]
    assert f"its accuracy is {drop:.2f} points lower (export.max_acc" in figures["refused"]
    assert f"{figures['changed']:.2%} of its labels are others" in figures["refused"]
    assert figures["accuracy_drop"] == figures["changed"] == 1 - figures["accuracy"] > 0.5


def test_what_costs_exactly_as_much_as_allowed_stays(folder, tmp_path, judged):
    path = tmp_path / "model.int8.onnx"
    spoil(folder / "model.onnx", path, -1)
    cost = judged(path)["changed"]
    spoil(folder / "model.onnx", path, -1)
    assert "refused" not in judged(path, max_accuracy_drop=cost, max_changed=cost)
    assert path.exists()
    assert "refused" in judged(path, max_accuracy_drop=cost, max_changed=cost - 1e-9)


def test_logits_that_are_no_numbers_are_refused(folder, tmp_path, judged):
    path = tmp_path / "model.fp16.onnx"
    spoil(folder / "model.onnx", path, 3e38)
    figures = judged(path, **LAX)
    assert figures["refused"] == "its logits are not finite"
    assert figures["max_logit_difference"] is None


def test_a_refused_precision_is_not_in_the_folder(tmp_path, params):
    """It was shown black squares alone."""
    folder, images = tmp_path / "artifacts", real_digits()[0][:40]
    torch.manual_seed(0)
    changed = params.model_copy(
        update={"export": params.export.model_copy(update={"precisions": ["fp32", "int8"]})}
    )
    black = torch.zeros_like(images)
    proof = export_to(folder, narrow().eval(), CARD, images, changed, calibration=black)
    assert "of its labels are others" in proof["precisions"]["int8"]["refused"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "int8" not in manifest["precisions"]
    assert not (folder / "model.int8.onnx").exists()
    assert "model.int8" not in (folder / "MODEL_CARD.md").read_text()
    verify(folder)


@pytest.mark.slow
def test_the_whole_networks_sizes(tmp_path, digits):
    """86.5 MB, half of it, and a quarter."""
    model = confident(CARD)
    images = digits[0][:256]
    logits = logits_of(model, CARD, images, CPU, 256).numpy()
    reference = AccuracyReference(images.numpy(), logits.argmax(axis=1), logits)
    full, half, quarter = (tmp_path / name for name in MODEL_FILENAMES.values())
    export.write_onnx(full, model, CARD, {}, opset=20, collapse_fc1=True)
    export.write_onnx(half, model, CARD, {}, opset=20, collapse_fc1=True, dtype=torch.float16)
    write_int8(quarter, full, images.numpy())
    assert full.stat().st_size < 87e6
    assert half.stat().st_size < 44e6
    assert quarter.stat().st_size < 22e6
    assert reference.measure(half)["changed"] < 0.01
    assert reference.measure(quarter)["changed"] < 0.1
