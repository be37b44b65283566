"""fp16 and int8: their form, their accuracy, and the rejection of too large a loss."""

import json
import os
import subprocess
import sys
from typing import get_args

import numpy as np
import onnx
import pytest
import torch

from alexnet import config
from alexnet.evaluation.evaluate import logits_of
from alexnet.export import graph
from alexnet.export.quantisation import AccuracyReference, write_fp16, write_int8
from alexnet.inference.predictor import MODEL_FILENAMES, Predictor
from alexnet.inference.verification import MAX_DIFFERENCE, verify
from tests.artifacts import LAX, METADATA, confident_model, export_model, export_small
from tests.conftest import ROOT, real_digits
from tests.runs import CPU, narrow

CHANNELS = [6, 16, 24, 24, 16, 256, 256]  # of conv1 to fc2 in a narrow network
ALL = ["int8", "fp32", "fp16"]  # in no order


@pytest.fixture(scope="module")
def folder(in_all_precisions):
    return in_all_precisions


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
    assert half == {"FLOAT16": weights + sum(CHANNELS) + 10, "FLOAT": 6, "INT64": 2}
    quarter = values_by_type(folder / "model.int8.onnx")
    last, zero_points = 10 * 256, sum(CHANNELS)
    assert quarter["INT8"] == weights - last + zero_points
    # Each channel of a weight has a scale, of a convolution's bias as well, and seven activations.
    scales = sum(CHANNELS) + sum(CHANNELS[:5]) + 7
    biases = 256 + 256 + 10  # of the fully connected layers
    assert quarter["FLOAT"] == last + scales + biases + 6, "of the normalisation"


@pytest.mark.parametrize("precision", MODEL_FILENAMES)
def test_the_file_is_in_the_oldest_format_and_holds_nothing_of_the_tools(folder, precision):
    model = onnx.load(folder / MODEL_FILENAMES[precision])
    found = model.graph
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (model.ir_version, manifest["ir_version"], manifest["opset"]) == (8, 8, 18)
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    assert model.producer_name == "alexnet"
    assert not model.functions
    assert not {"allowzero"} & {each.name for node in found.node for each in node.attribute}
    values = {name for node in found.node for name in node.output}
    assert {value.name for value in found.value_info} <= values
    constants = {tensor.name for tensor in found.initializer}
    assert constants <= {name for node in found.node for name in node.input}
    parts = (found, *found.node, *found.input, *found.output, *found.value_info, *found.initializer)
    assert not any(part.metadata_props or part.doc_string for part in parts)
    assert not [name for name in values | constants if name.startswith(("node_", "val_"))]


@pytest.mark.slow
def test_the_same_weights_give_the_same_bytes(folder, tmp_path):
    """In another process, whose sets have another order."""
    code = (
        "from pathlib import Path\nfrom tests.artifacts import LAX, export_small\n"
        f"export_small(Path('again'), precisions={ALL}, **LAX)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    for name in (path.name for path in folder.iterdir() if path.is_file()):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("opset", [19, 20, 21, 22, 23])
def test_another_opset(tmp_path, opset):
    """params.yaml may choose it; the export itself checks the outputs of all precisions."""
    folder = export_small(tmp_path / "artifacts", precisions=ALL, opset=opset, **LAX)
    for name in MODEL_FILENAMES.values():
        model = onnx.load(folder / name)
        assert [each.version for each in model.opset_import] == [opset]
        assert model.ir_version == {19: 9, 20: 9, 21: 10, 22: 10, 23: 11}[opset]


def test_fp16_computes_in_float32_with_rounded_weights(folder, tmp_path):
    """The same bits as of the float32 graph with such weights."""
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.name.endswith((".weight", ".bias")):
            values = onnx.numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, tmp_path / "rounded.onnx")
    images = real_digits()[0][:64].numpy()
    half, rounded, full = (
        graph.run_onnx(path, images, 64)["logits"]
        for path in (folder / "model.fp16.onnx", tmp_path / "rounded.onnx", folder / "model.onnx")
    )
    np.testing.assert_array_equal(half, rounded)
    assert np.abs(half - full).max() > 1e-4


def test_int8_is_static_per_channel_and_cannot_overflow(folder):
    model = onnx.load(folder / "model.int8.onnx").graph
    values = {t.name: onnx.numpy_helper.to_array(t) for t in model.initializer}
    operators = {node.op_type for node in model.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    assert "DynamicQuantizeLinear" not in operators
    # With a quantized bias, OpenCV 4.11 to 4.14 compute another result.
    assert [len(node.input) for node in model.node if node.op_type == "Gemm"] == [2, 2, 3]
    sums = [node for node in model.node if node.op_type == "Add"]
    assert [values[node.input[1]].dtype for node in sums] == [np.float32] * 2
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
    graph.write_onnx(tmp_path / "full.onnx", model, METADATA, {}, opset=18, collapse_fc1=True)
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
    reference = AccuracyReference(images, full["logits"].argmax(axis=1), full["logits"])

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
    graph.write_onnx(full, model, METADATA, {}, opset=18, collapse_fc1=True)
    write_fp16(half, full)
    write_int8(quarter, full, images.numpy())
    assert full.stat().st_size < 87e6
    assert half.stat().st_size < 44e6
    assert quarter.stat().st_size < 22e6
    assert reference.measure(half)["label_change_rate"] < 0.01
    assert reference.measure(quarter)["label_change_rate"] < 0.1
