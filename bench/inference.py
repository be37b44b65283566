"""Inference speed: onnxruntime against PyTorch, for one image and for many.

The baseline is PyTorch eager as evaluate runs it: with fc1's copies, in float32, in inference
mode. All backends take the same uint8 images and return logits and probabilities, on the CPU,
with their default number of threads. They are measured in turn, each time in a fresh
process: a machine that slows down slows down all, and a backend's memory is its own.

This module imports torch and onnxruntime only where it uses them, for the same reason.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from alexnet import config
from alexnet.cli.app import run
from alexnet.files import write_json
from alexnet.progress import progress
from bench import report
from bench.measure import peak_resident_bytes, processor, run_in_subprocess
from stages.paths import PARAMS, ParamsFile

BATCH_SIZES = (1, 256)
WARM_UP_CALLS = 3
MIN_CALLS = 5
SEED = 0

Predict = Callable[[NDArray[np.uint8]], Any]


@dataclass(frozen=True)
class Backend:
    """A model file and its runtime: from uint8 images to logits and probabilities."""

    runtime: Literal["PyTorch eager", "onnxruntime"]
    collapsed: bool  # without fc1's copies
    precision: str
    file: Path
    image_shape: tuple[int, int, int]  # height, width, channels

    @property
    def name(self) -> str:
        return f"{self.runtime}, {self.precision}, fc1 {'collapsed' if self.collapsed else 'full'}"


@dataclass(frozen=True)
class Latency:
    """The result of one process."""

    seconds: float  # of a batch: the median of all calls
    calls: int
    peak_bytes: int  # resident, of the whole process, loading included


@dataclass(frozen=True)
class Rounds:
    """The latencies of a backend for batches of one size."""

    backend: Backend
    latencies: list[Latency] = field(default_factory=list)

    def relative_to(self, baseline: "Rounds") -> dict[str, Any]:
        """Its figures; ratios are of the same round, and above 1 where it is faster."""
        pairs = zip(baseline.latencies, self.latencies, strict=True)
        ratios = [theirs.seconds / ours.seconds for theirs, ours in pairs]
        return {
            "backend": self.backend.name,
            "seconds": statistics.median(latency.seconds for latency in self.latencies),
            "rounds": [latency.seconds for latency in self.latencies],
            "calls": [latency.calls for latency in self.latencies],
            "ratio": statistics.median(ratios),
            "ratios": ratios,
            "file_bytes": self.backend.file.stat().st_size,
            "peak_bytes": max(latency.peak_bytes for latency in self.latencies),
        }


def bench(
    params: ParamsFile = PARAMS,
    weights: Annotated[
        Path | None,
        typer.Option(help="Trained weights.", show_default="fresh ones: as fast"),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 3,
    seconds: Annotated[float, typer.Option(min=0, help="Of one measurement, at least.")] = 2,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON, too.")] = None,
) -> None:
    """Measure the latency of a prediction by runtime, precision and form of fc1."""
    values = config.load(params)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if weights is None:
            weights = folder / "weights.safetensors"
            run_in_subprocess(write_fresh_weights, weights, values)
        images = values.export.num_calibration_images
        backends = run_in_subprocess(write_backends, folder, weights, values.export.opset, images)
        result = {
            "conditions": run_in_subprocess(conditions, rounds, seconds)
            | {"image_shape": backends[0].image_shape, "baseline": backends[0].name},
            "batch_sizes": {
                str(size): interleave(backends, size, rounds, seconds) for size in BATCH_SIZES
            },
        }
    report.show_inference(result)
    if json_file:
        write_json(json_file, result)


def interleave(
    backends: list[Backend], batch_size: int, rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Measure the backends in turn, `rounds` times; a row for each, the baseline first."""
    measured = [Rounds(backend) for backend in backends]
    with progress(f"batch size {batch_size}", rounds * len(backends)) as advance:
        for _ in range(rounds):
            for each in measured:
                latency = run_in_subprocess(measure, each.backend, batch_size, seconds)
                each.latencies.append(latency)
                advance(1, f"{1e3 * latency.seconds:,.1f} ms")
    return [each.relative_to(measured[0]) for each in measured]


def write_fresh_weights(path: Path, values: config.Params) -> None:
    import torch

    from alexnet.network.weights import ModelMetadata, build, save_weights

    classes = tuple(f"class {index}" for index in range(10))
    half = (0.5,) * values.data.channels
    metadata = ModelMetadata(values.model.variant, classes, values.crop_size, half, half)
    torch.manual_seed(0)
    save_weights(path, build(metadata, dropout=0.0), metadata)


def write_backends(
    folder: Path, weights: Path, opset: int, num_calibration_images: int
) -> list[Backend]:
    """Every backend of the network in `weights`; the first is the baseline."""
    from alexnet.export.graph import write_onnx
    from alexnet.export.quantisation import write_fp16, write_int8
    from alexnet.inference.predictor import MODEL_FILENAMES
    from alexnet.network.collapse import can_collapse
    from alexnet.network.weights import load_weights

    model, metadata = load_weights(weights)
    options = [False, True] if can_collapse(model, metadata.image_size) else [False]
    shape = (metadata.image_size, metadata.image_size, metadata.channels)
    calibration = random_images(num_calibration_images, shape)
    backends = [Backend("PyTorch eager", option, "fp32", weights, shape) for option in options]
    for collapsed in options:
        place = folder / ("collapsed" if collapsed else "full")
        place.mkdir()
        files = {name: place / file for name, file in MODEL_FILENAMES.items()}
        write_onnx(files["fp32"], model, metadata, {}, opset=opset, collapse_fc1=collapsed)
        write_fp16(files["fp16"], files["fp32"])
        write_int8(files["int8"], files["fp32"], calibration)
        backends += [
            Backend("onnxruntime", collapsed, name, file, shape) for name, file in files.items()
        ]
    return backends


def random_images(num_images: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """(N, H, W, C); the time does not depend on the content."""
    generator = np.random.default_rng(SEED)
    return generator.integers(0, 256, (num_images, *shape), dtype=np.uint8)


def measure(backend: Backend, batch_size: int, seconds: float) -> Latency:
    """Predict the same batch repeatedly, for `seconds` and MIN_CALLS at least."""
    batch = random_images(batch_size, backend.image_shape)
    predict = load_backend(backend)
    for _ in range(WARM_UP_CALLS):
        predict(batch)
    times: list[float] = []
    while sum(times) < seconds or len(times) < MIN_CALLS:
        start = time.perf_counter()
        predict(batch)
        times.append(time.perf_counter() - start)
    return Latency(statistics.median(times), len(times), peak_resident_bytes())


def load_backend(backend: Backend) -> Predict:
    return (_load_pytorch if backend.runtime == "PyTorch eager" else _load_onnxruntime)(backend)


def _load_pytorch(backend: Backend) -> Predict:
    import torch

    from alexnet.network.collapse import collapse_for_inference
    from alexnet.network.inputs import normalise
    from alexnet.network.weights import load_weights

    model, metadata = load_weights(backend.file)
    if backend.collapsed:
        model = collapse_for_inference(model)

    @torch.inference_mode()
    def predict(batch: NDArray[np.uint8]) -> Any:
        logits = model(normalise(torch.from_numpy(batch), metadata.mean, metadata.std))
        return logits.numpy(), logits.softmax(dim=1).numpy()

    return predict


def _load_onnxruntime(backend: Backend) -> Predict:
    from alexnet.inference.session import open_session

    session = open_session(backend.file)
    return lambda batch: session.run(None, {"images": batch})


def conditions(rounds: int, seconds: float) -> dict[str, Any]:
    """The conditions of the measurement."""
    import onnxruntime
    import torch

    return {
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],  # before the first measurement
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "rounds": rounds,
        "seconds": seconds,
        "warm_up_calls": WARM_UP_CALLS,
    }


if __name__ == "__main__":
    run(bench)
