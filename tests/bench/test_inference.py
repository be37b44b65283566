"""The inference benchmark: every backend against PyTorch eager."""

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
from bench import inference, report
from bench.inference import (
    MIN_CALLS,
    Backend,
    Latency,
    load_backend,
    random_images,
    write_backends,
)
from tests.artifacts import confident_model
from tests.conftest import CLASSES, ROOT, write_params
from tests.runs import CPU

from .conftest import call, run_bench


@pytest.fixture
def backends(tmp_path):
    """Two backends, of which only the size of the files counts."""
    files = [tmp_path / name for name in ("weights.safetensors", "model.onnx")]
    for file, size in zip(files, (1000, 500), strict=True):
        file.write_bytes(bytes(size))
    shape = (32, 32, 3)
    return [
        Backend("PyTorch eager", False, "fp32", files[0], shape),
        Backend("onnxruntime", True, "int8", files[1], shape),
    ]


@pytest.fixture
def invent(monkeypatch):
    """Invent the seconds of each measurement; no process is started."""
    asked = []

    def invent(*seconds):
        times = itertools.cycle(seconds)

        def measure(backend, batch_size, seconds):
            asked.append((backend.runtime, batch_size, seconds))
            return Latency(next(times), MIN_CALLS, (1 + (backend.runtime == "onnxruntime")) << 20)

        monkeypatch.setattr(inference, "measure", measure)
        monkeypatch.setattr(inference, "run_in_subprocess", call)
        return asked

    return invent


def test_ratios_are_of_the_same_round(backends, invent):
    asked = invent(0.03, 0.01, 0.06, 0.03, 0.04, 0.01)
    baseline, other = inference.interleave(backends, 1, rounds=3, seconds=0.5)
    assert asked == [("PyTorch eager", 1, 0.5), ("onnxruntime", 1, 0.5)] * 3, "in turn"
    assert baseline["ratio"] == 1
    assert other["ratios"] == pytest.approx([3, 2, 4])
    assert other["ratio"] == pytest.approx(3)
    assert other["rounds"] == [0.01, 0.03, 0.01]
    assert other["seconds"] == 0.01
    assert other["file_bytes"] == 500
    assert other["peak_bytes"] == 2 << 20


def test_the_tables_state_the_baseline_and_the_method(backends, invent, capsys):
    invent(0.03, 0.01)
    rows = {
        str(size): inference.interleave(backends, size, 2, 0.5) for size in inference.BATCH_SIZES
    }
    given = inference.conditions(2, 0.5) | {
        "image_shape": backends[0].image_shape,
        "baseline": backends[0].name,
    }
    report.show_inference({"conditions": given, "batch_sizes": rows})
    printed = capsys.readouterr().out
    assert "baseline: PyTorch eager, fp32, fc1 full" in printed
    assert "images of 32 x 32 x 3" in printed
    assert "in turn, rounds: 2, each time in a fresh process" in printed
    assert "One image" in printed
    assert "256 images at a time" in printed
    assert printed.count("3.00 to 3.00") == 2
    assert printed.count("onnxruntime, int8, fc1 collapsed") == 2
    assert "\x1b" not in printed


def test_both_batch_sizes_are_measured():
    assert inference.BATCH_SIZES == (1, 256)


@pytest.mark.slow
def test_every_backend_computes_the_same_logits(tmp_path):
    """Within the tolerance of its precision."""
    metadata = ModelMetadata("cifar", CLASSES, 32, (0.5, 0.4, 0.3), (0.25, 0.2, 0.3))
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, confident_model(metadata), metadata)
    backends = write_backends(tmp_path, weights, opset=18, num_calibration_images=64)
    assert [backend.name for backend in backends] == [
        "PyTorch eager, fp32, fc1 full",
        "PyTorch eager, fp32, fc1 collapsed",
        *(f"onnxruntime, {name}, fc1 full" for name in ("fp32", "fp16", "int8")),
        *(f"onnxruntime, {name}, fc1 collapsed" for name in ("fp32", "fp16", "int8")),
    ]
    images = random_images(4, (32, 32, 3))
    model, metadata = load_weights(weights)
    wanted = logits_of(model, metadata, torch.from_numpy(images), CPU, 4).numpy()
    for backend in backends:
        logits, probabilities = load_backend(backend)(images)
        close = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.2}[backend.precision] * np.abs(wanted).max()
        np.testing.assert_allclose(logits, wanted, atol=close)
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.slow
def test_the_module_imports_no_runtime(tmp_path):
    """Else a backend's memory would include the other runtime."""
    code = (
        "import sys\nfrom bench import inference\n"
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
    done = run_bench("inference", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text())
    assert list(result["batch_sizes"]) == ["1", "256"]
    for rows in result["batch_sizes"].values():
        assert len(rows) == 8
        assert rows[0]["backend"] == result["conditions"]["baseline"]
        assert all(row["peak_bytes"] > row["file_bytes"] / 2 for row in rows)
        sizes = {row["backend"]: row["file_bytes"] for row in rows}
        assert sizes["onnxruntime, int8, fc1 collapsed"] < 25e6 < 87e6
    assert "times as fast" in done.stdout
