"""The folder of the page: what it holds, what it replaces, and what the page can rely on."""

import gzip
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.func import functional_call

from alexnet.errors import UserError
from alexnet.live.build import build_live, choose_samples
from alexnet.live.description import largest_sums
from alexnet.live.page import BINARIES
from alexnet.live.tensors import dequantise
from alexnet.network.inputs import normalise
from alexnet.network.summary import num_parameters
from tests.artifacts import METADATA


@pytest.fixture
def built(tmp_path, live_run, source):
    rounding = build_live(tmp_path / "live", live_run, source)
    return tmp_path / "live", rounding


def contents(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }


def read(folder):
    """run.json, and the arrays as the page reads them."""
    description = json.loads((folder / "run/run.json").read_text())
    blob = gzip.decompress((folder / "run/tensors.bin.gz").read_bytes())
    arrays = {}
    for name, entry in description["tensors"].items():
        assert entry["offset"] % 8 == 0
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(blob, f"<{np.dtype(entry['dtype']).str[1:]}", count, entry["offset"])
        arrays[name] = values.reshape(entry["shape"])
    return description, arrays


def test_the_folder_holds_page_runtime_and_run(built, source):
    files = contents(built[0])
    page = {"index.html", "live.js", "style.css", "prepare.js", "camera.js"}
    assert {name for name in files if "/" not in name} == page
    for name in BINARIES:
        assert gzip.decompress(files[f"ort/{name}.gz"]) == (source.runtime / name).read_bytes()
    assert files["ort/ort.wasm.min.mjs"] == b"this is ort.wasm.min.mjs"
    assert len([name for name in files if name.startswith("run/samples/")]) == 10


def test_the_same_run_gives_the_same_bytes(built, tmp_path, live_run, source):
    build_live(tmp_path / "again", live_run, source)
    first, second = contents(built[0]), contents(tmp_path / "again")
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


def test_weights_are_rounded_by_half_a_step_at_most(built, live_run):
    _, arrays = read(built[0])
    fc1 = live_run.model.fc1.weight.detach().numpy().reshape(256, 16, 36).sum(axis=2)
    for name in ("conv1", "conv4", "fc1", "fc3"):
        exact = fc1 if name == "fc1" else live_run.model.get_parameter(f"{name}.weight").detach()
        scale = arrays[f"{name}.scale"]
        restored = dequantise(arrays[f"{name}.weight"], scale)
        error = np.abs(restored - np.asarray(exact)).reshape(len(scale), -1).max(axis=1)
        assert (error <= 0.5001 * scale).all(), name
        levels = np.abs(arrays[f"{name}.weight"]).reshape(len(scale), -1).max(axis=1)
        assert (levels == (127 if name.startswith("conv") else 63)).all()
        bias = live_run.model.get_parameter(f"{name}.bias").detach().numpy()
        np.testing.assert_array_equal(arrays[f"{name}.bias"], bias)
    snapshots = zip(
        arrays["filters.weight"], arrays["filters.scale"], live_run.filters, strict=True
    )
    for values, scale, exact in snapshots:
        np.testing.assert_allclose(dequantise(values, scale), exact, atol=0.51 * scale.max())


def test_the_measured_rounding_is_that_of_pytorch_with_the_rounded_weights(built, live_run):
    """fc1 gets the rounded sum of a value's copies in equal parts."""
    folder, rounding = built
    description, arrays = read(folder)
    model = live_run.model
    changed = {}
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc1", "fc2", "fc3"):
        values = dequantise(arrays[f"{name}.weight"], arrays[f"{name}.scale"])
        values = values.repeat(36, axis=1) / 36 if name == "fc1" else values
        changed[f"{name}.weight"] = torch.from_numpy(values)
    images, labels = live_run.test
    x = normalise(images, METADATA.mean, METADATA.std)
    with torch.inference_mode():
        rounded, exact = functional_call(model, changed, (x,)), model(x)
    samples = [labels.tolist().index(label) for label in range(10)]
    stated = torch.tensor([sample["probabilities"] for sample in description["samples"]])
    torch.testing.assert_close(stated, rounded[samples].softmax(1), rtol=1e-3, atol=1e-5)
    difference = (rounded.softmax(1) - exact.softmax(1)).abs().max().item()
    assert difference > 1e-3, "rounding changes something"
    assert rounding.max_probability_difference == pytest.approx(difference, abs=1e-4)
    assert rounding.accuracy == (rounded.argmax(1) == labels).double().mean().item()
    agreement = (rounded.argmax(1) == exact.argmax(1)).double().mean().item()
    assert rounding.label_agreement == agreement
    assert description["rounding"]["num_images"] == 60


def test_the_description_is_of_the_network_as_written(built, live_run):
    description, _ = read(built[0])
    rows = {row["name"]: row for row in description["layers"]}
    assert sum(row["parameters"] for row in rows.values()) == num_parameters(live_run.model)
    assert rows["conv1"]["input"] == "image"
    assert rows["conv3"]["input"] == "pool2"
    assert rows["fc1"]["input_shape"] == [16, 1, 1]
    assert rows["fc3"]["relu"] is False
    copies = description["copies"]
    assert (copies["number"], copies["shape"], copies["inputs"]) == (36, [6, 6], 16)
    written, collapsed = 256 * 16 * 36 + 256, 256 * 16 + 256
    assert (copies["parameters_written"], copies["parameters_collapsed"]) == (written, collapsed)
    for example in copies["examples"]:
        start = 36 * example["input"]
        weights = live_run.model.fc1.weight[example["unit"], start : start + 36].tolist()
        assert example["weights"] == pytest.approx(weights, rel=1e-5)
        assert example["sum"] == pytest.approx(sum(weights), abs=1e-4)
    assert len(copies["examples"]) == 6


def test_examples_are_the_largest_sums_of_different_units_and_inputs():
    sums = np.array([[9.0, -8.0, 1.0], [7.0, 2.0, 0.0], [0.0, 6.0, -3.0]])
    assert largest_sums(sums, 6) == [(0, 0), (2, 1), (1, 2)]
    assert largest_sums(sums, 1) == [(0, 0)]


def test_samples_are_test_images_as_stored(built, live_run):
    folder = built[0]
    description, _ = read(folder)
    labels = live_run.test[1].tolist()
    for sample in description["samples"]:
        pixels = np.asarray(Image.open(folder / "run" / sample["file"]))
        stored = live_run.test[0][labels.index(sample["label"])].numpy()
        np.testing.assert_array_equal(pixels, stored)
    assert [sample["label"] for sample in description["samples"]] == [*range(10)]


def test_few_classes_have_several_samples():
    labels = np.arange(40) % 2
    chosen = choose_samples(labels)
    assert len(chosen) == len(set(chosen)) == 8
    assert chosen[:2] == [0, 1]
    assert choose_samples(np.array([0, 1, 1])) == [0, 1, 2]


def test_a_graph_that_computes_something_else_is_a_defect(tmp_path, live_run, source, monkeypatch):
    monkeypatch.setattr("alexnet.live.build.MAX_LOGIT_DIFFERENCE", 0.0)
    with pytest.raises(AssertionError, match="the graph's logits differ by"):
        build_live(tmp_path / "live", live_run, source)
    assert not (tmp_path / "live").exists()


def test_a_folder_of_an_earlier_build_is_replaced(built, live_run, source):
    folder = built[0]
    (folder / "old.js").write_text("of an older version")
    build_live(folder, replace(live_run, filter_epochs=[]), source)
    assert not (folder / "old.js").exists()
    description, arrays = read(folder)
    assert description["filters"] == {"epochs": []}
    assert "filters.weight" not in arrays


def test_a_folder_of_somebody_elses_stays(built, tmp_path, live_run, source):
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("mine")  # a name of ours, but no run
    (built[0] / "notes.txt").write_text("mine")
    for folder, name in ((site, "index.html"), (built[0], "notes.txt")):
        with pytest.raises(UserError, match=f"holds {name}, not written by the pipeline"):
            build_live(folder, live_run, source)
        assert (folder / name).read_text() == "mine"
