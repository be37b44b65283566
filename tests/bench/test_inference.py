"""Answers by the clock: every form is measured, beside the network as it is evaluated."""

import itertools
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from alexnet.evaluation.evaluate import logits_of
from alexnet.network.weights import ModelMetadata, load_weights, save_weights
from bench import inference
from bench.forms import (
    MIN_CALLS,
    Backend,
    Latency,
    onnxruntime_answer,
    pytorch_answer,
    random_images,
    write_forms,
)
from tests.artifacts import confident_model
from tests.conftest import CLASSES, ROOT, write_params
from tests.making import CPU


@pytest.fixture
def forms(tmp_path):
    """Two forms, of which only the files are looked at."""
    files = [tmp_path / name for name in ("weights.safetensors", "model.onnx")]
    for file, size in zip(files, (1000, 500), strict=True):
        file.write_bytes(bytes(size))
    shape = (32, 32, 3)
    return [
        Backend("PyTorch eager", False, "fp32", files[0], shape),
        Backend("onnxruntime", True, "int8", files[1], shape),
    ]


@pytest.fixture
def invented(monkeypatch):
    """The seconds of one measurement after the other; no process is started."""
    asked = []

    def invented(*seconds):
        times = itertools.cycle(seconds)

        def measure(form, batch_size, limit):
            asked.append((form.runtime, batch_size, limit))
            return Latency(next(times), MIN_CALLS, (1 + (form.runtime == "onnxruntime")) << 20)

        monkeypatch.setattr(inference, "measure", measure)
        monkeypatch.setattr(inference, "apart", lambda function, *arguments: function(*arguments))
        return asked

    return invented


def test_ratios_are_of_the_same_round(forms, invented):
    asked = invented(0.03, 0.01, 0.06, 0.03, 0.04, 0.01)
    baseline, other = inference.interleave(forms, 1, rounds=3, seconds=0.5)
    assert asked == [("PyTorch eager", 1, 0.5), ("onnxruntime", 1, 0.5)] * 3, "in turn"
    assert baseline["ratio"] == 1
    assert other["ratios"] == pytest.approx([3, 2, 4])
    assert other["ratio"] == pytest.approx(3)
    assert other["rounds"] == [0.01, 0.03, 0.01]
    assert other["seconds"] == 0.01
    assert other["file_bytes"] == 500
    assert other["peak_bytes"] == 2 << 20


def test_the_tables_state_the_baseline_and_the_method(forms, invented, capsys):
    invented(0.03, 0.01)
    rows = {str(size): inference.interleave(forms, size, 2, 0.5) for size in inference.BATCH_SIZES}
    given = inference.conditions(2, 0.5) | {
        "image_shape": forms[0].image_shape,
        "baseline": forms[0].name,
    }
    inference.show({"conditions": given, "batch_sizes": rows})
    said = capsys.readouterr().out
    assert "baseline: PyTorch eager, fp32, unfolded" in said
    assert "images of 32 x 32 x 3" in said
    assert "in turn, rounds: 2, each time in a fresh process" in said
    assert "One image" in said
    assert "256 images at a time" in said
    assert said.count("3.00 to 3.00") == 2
    assert said.count("onnxruntime, int8, folded") == 2
    assert "\x1b" not in said


def test_both_batch_sizes_are_measured():
    assert inference.BATCH_SIZES == (1, 256)


@pytest.mark.slow
def test_every_form_gives_the_same_answers(tmp_path):
    """What is timed is the network, in every form; in fewer bits nearly."""
    metadata = ModelMetadata("cifar", CLASSES, 32, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, confident_model(metadata), metadata)
    forms = write_forms(tmp_path, weights, opset=20, num_shown=64)
    assert [form.name for form in forms] == [
        "PyTorch eager, fp32, unfolded",
        "PyTorch eager, fp32, folded",
        *(f"onnxruntime, {name}, unfolded" for name in ("fp32", "fp16", "int8")),
        *(f"onnxruntime, {name}, folded" for name in ("fp32", "fp16", "int8")),
    ]
    images = random_images(4, (32, 32, 3))
    model, metadata = load_weights(weights)
    wanted = logits_of(model, metadata, torch.from_numpy(images), CPU, 4).numpy()
    for form in forms:
        answer = (pytorch_answer if form.runtime == "PyTorch eager" else onnxruntime_answer)(form)
        logits, probabilities, label = answer(images)
        close = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.2}[form.precision] * np.abs(wanted).max()
        np.testing.assert_allclose(logits, wanted, atol=close)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(label, logits.argmax(axis=1))


@pytest.mark.slow
def test_a_form_is_measured_without_the_others_library(tmp_path):
    """Else its memory would not be its own."""
    code = (
        "import sys\nfrom bench import inference, forms\n"
        "print({'torch', 'onnxruntime', 'onnx'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.slow
def test_the_command(tmp_path):
    write_params(tmp_path, export__num_calibration_images=8)
    options = ["--rounds", "1", "--seconds", "0", "--json", "bench.json"]
    done = subprocess.run(
        [sys.executable, "-m", "bench.inference", *options],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text())
    assert list(result["batch_sizes"]) == ["1", "256"]
    for rows in result["batch_sizes"].values():
        assert len(rows) == 8
        assert rows[0]["form"] == result["conditions"]["baseline"]
        assert all(row["peak_bytes"] > row["file_bytes"] / 2 for row in rows)
        sizes = {row["form"]: row["file_bytes"] for row in rows}
        assert sizes["onnxruntime, int8, folded"] < 25e6 < 87e6
    assert "times as fast" in done.stdout
