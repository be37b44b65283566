"""fp16 and int8: their form, their accuracy, and the rejection of too large a loss."""

import json
from typing import get_args

import numpy as np
import onnx
import pytest
import torch

from alexnet import config
from alexnet.evaluation.evaluate import logits_of
from alexnet.export import graph
from alexnet.export.quantisation import AccuracyReference, write_int8
from alexnet.inference.predictor import MODEL_FILENAMES, Predictor
from alexnet.inference.verification import MAX_DIFFERENCE, verify
from tests.artifacts import LAX, METADATA, confident_model, export_model, export_small
from tests.conftest import real_digits
from tests.runs import CPU, narrow

CHANNELS = [6, 16, 24, 24, 16, 256, 256]  # of conv1 to fc2 in a narrow network
ALL = ["int8", "fp32", "fp16"]  # in no order


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An artifact with all precisions of a narrow network."""
    return export_small(tmp_path_factory.mktemp("precision") / "artifacts", precisions=ALL, **LAX)


def values_by_type(path):
    """{type: number of values} over all initializers."""
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
    assert set(verify(folder).max_difference) == set(ALL)
    card = (folder / "MODEL_CARD.md").read_text()
    assert all(f"| `{name}` |" in card for name in MODEL_FILENAMES.values())


def test_weights_have_the_type_of_the_precision(folder):
    weights = sum(p.numel() for name, p in narrow().named_parameters() if "weight" in name)
    weights -= 35 * 16 * 256  # fc1 is collapsed
    half = values_by_type(folder / "model.fp16.onnx")
    assert half["FLOAT16"] >= weights > 1000 * half["FLOAT"], "except for the normalisation"
    quarter = values_by_type(folder / "model.int8.onnx")
    last, zero_points = 10 * 256, sum(CHANNELS)
    assert quarter["INT8"] == weights - last + zero_points
    scales = sum(CHANNELS) + len(CHANNELS) + 1
    assert quarter["FLOAT"] == last + scales + 6, "of the normalisation"


def test_int8_is_static_per_channel_and_cannot_overflow(folder):
    model = onnx.load(folder / "model.int8.onnx").graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in model.initializer}
    operators = {node.op_type for node in model.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    assert "DynamicQuantizeLinear" not in operators
    scales = [
        values[node.input[1]].size
        for node in model.node
        if node.op_type == "DequantizeLinear" and values.get(node.input[0], np.empty(0)).ndim > 1
    ]
    assert scales == CHANNELS, "one for each output channel"
    for value in values.values():
        if value.dtype == np.int8 and value.ndim > 1:
            largest = int(np.abs(value.astype(int)).max())
            assert largest <= 64
            assert 2 * 255 * largest < 2**15


def test_outputs_are_close_to_fp32_and_of_the_same_types(folder):
    images = real_digits()[0][:7].numpy()
    full = graph.run_onnx(folder / "model.onnx", images, 7)
    for name in ("fp16", "int8"):
        outputs = graph.run_onnx(folder / MODEL_FILENAMES[name], images, 7)
        assert {k: v.dtype for k, v in outputs.items()} == {k: v.dtype for k, v in full.items()}
        np.testing.assert_allclose(
            outputs["probabilities"], full["probabilities"], atol=MAX_DIFFERENCE[name]
        )
        assert not np.array_equal(outputs["logits"], full["logits"])


@pytest.mark.slow
def test_int8_is_close_because_it_is_calibrated(tmp_path):
    """Calibrated on black images it clips the activations of others."""
    torch.manual_seed(0)
    model = narrow().eval()
    images = real_digits()[0][:300].numpy()
    graph.write_onnx(tmp_path / "full.onnx", model, METADATA, {}, opset=20, collapse_fc1=True)
    full = graph.run_onnx(tmp_path / "full.onnx", images, 256)["logits"]

    def error(calibration_images):
        write_int8(tmp_path / "int8.onnx", tmp_path / "full.onnx", calibration_images)
        logits = graph.run_onnx(tmp_path / "int8.onnx", images, 256)["logits"]
        return np.abs(logits - full).max() / full.std()

    assert error(images[:64]) < 0.3
    assert error(np.zeros_like(images[:64])) > 1


@pytest.fixture
def check(folder, params):
    """check_precision of a file, on labels of which fp32 gets all right."""
    images = real_digits()[0][:40].numpy()
    full = graph.run_onnx(folder / "model.onnx", images, 40)
    reference = AccuracyReference(images, full["label"], full["logits"])

    return lambda path, **changes: reference.check_precision(
        path, params.export.model_copy(update=changes)
    )


def scale_fc3(source, target, factor):
    """Write a copy of a model with the last layer's weights multiplied by `factor`."""
    model = onnx.load(source)
    for tensor in model.graph.initializer:
        if tensor.dims == [10, 256]:
            values = onnx.numpy_helper.to_array(tensor) * np.float32(factor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, target)


def test_too_large_a_loss_is_removed_with_the_reason(folder, tmp_path, check):
    path = tmp_path / "model.int8.onnx"
    scale_fc3(folder / "model.onnx", path, -1)
    row = check(path, max_accuracy_drop=0.005, max_label_change=0.03)
    assert not path.exists()
    drop, reason = 100 * row["accuracy_drop"], row["rejected_reason"]
    assert f"its accuracy is {drop:.2f} points lower (export.max_accuracy_drop" in reason
    assert f"{row['label_change_rate']:.2%} of its labels differ from those of fp32" in reason
    assert row["accuracy_drop"] == row["label_change_rate"] == 1 - row["accuracy"] > 0.5

    loss = row["label_change_rate"]  # exactly at both limits it stays
    scale_fc3(folder / "model.onnx", path, -1)
    assert "rejected_reason" not in check(path, max_accuracy_drop=loss, max_label_change=loss)
    assert path.exists()
    limits = {"max_accuracy_drop": loss, "max_label_change": loss - 1e-9}
    assert "rejected_reason" in check(path, **limits)


def test_non_finite_logits_are_rejected(folder, tmp_path, check):
    path = tmp_path / "model.fp16.onnx"
    scale_fc3(folder / "model.onnx", path, 3e38)
    row = check(path, **LAX)
    assert row["rejected_reason"] == "its logits are not finite"
    assert row["max_logit_difference"] is None


def test_a_rejected_precision_is_not_in_the_folder(tmp_path):
    """It was calibrated on black images."""
    folder, images = tmp_path / "artifacts", real_digits()[0][:40]
    torch.manual_seed(0)
    results = export_model(
        *(folder, narrow().eval(), METADATA, images, {"calibration_images": 0 * images}),
        precisions=["fp32", "int8"],
    )
    assert "of its labels differ" in results["precisions"]["int8"]["rejected_reason"]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "int8" not in manifest["precisions"]
    assert not (folder / "model.int8.onnx").exists()
    assert "model.int8" not in (folder / "MODEL_CARD.md").read_text()
    verify(folder)


@pytest.mark.slow
def test_sizes_of_the_whole_network(tmp_path, digits):
    """86.5 MB, half of it, and a quarter."""
    model = confident_model(METADATA)
    images = digits[0][:256]
    logits = logits_of(model, METADATA, images, CPU, 256).numpy()
    reference = AccuracyReference(images.numpy(), logits.argmax(axis=1), logits)
    full, half, quarter = (tmp_path / name for name in MODEL_FILENAMES.values())
    graph.write_onnx(full, model, METADATA, {}, opset=20, collapse_fc1=True)
    graph.write_onnx(half, model, METADATA, {}, opset=20, collapse_fc1=True, dtype=torch.float16)
    write_int8(quarter, full, images.numpy())
    assert full.stat().st_size < 87e6
    assert half.stat().st_size < 44e6
    assert quarter.stat().st_size < 22e6
    assert reference.measure(half)["label_change_rate"] < 0.01
    assert reference.measure(quarter)["label_change_rate"] < 0.1
