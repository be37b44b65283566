"""The forms in which the network can answer, and how long each takes for a batch.

This module imports neither torch nor onnxruntime before it is told to, so that the memory
of a process that measures is that of the form alone.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.process import resident_peak

WARM_UP_CALLS = 3
MIN_CALLS = 5
SEED = 0

Answer = Callable[[NDArray[np.uint8]], Any]


@dataclass(frozen=True)
class Backend:
    """A file, and what runs it: from uint8 images to logits, probabilities and label."""

    runtime: Literal["PyTorch eager", "onnxruntime"]
    folded: bool
    precision: str
    file: Path
    image_shape: tuple[int, int, int]  # height, width, channels

    @property
    def name(self) -> str:
        return f"{self.runtime}, {self.precision}, {'folded' if self.folded else 'unfolded'}"


@dataclass(frozen=True)
class Latency:
    """What was measured in one process."""

    seconds: float  # for a batch: the median of all calls
    calls: int
    peak_bytes: int  # resident, of the whole process, loading included


def write_forms(folder: Path, weights: Path, opset: int, num_shown: int) -> list[Backend]:
    """Every form of the network in `weights`; the first is the baseline: as it is evaluated."""
    import torch

    from alexnet.export.graph import write_onnx
    from alexnet.export.quantisation import write_int8
    from alexnet.inference.predictor import MODEL_FILENAMES
    from alexnet.network.collapse import can_collapse
    from alexnet.network.weights import load_weights

    model, metadata = load_weights(weights)
    folding = [False, True] if can_collapse(model, metadata.image_size) else [False]
    shape = (metadata.image_size, metadata.image_size, metadata.channels)
    shown = random_images(num_shown, shape)
    forms = [Backend("PyTorch eager", folded, "fp32", weights, shape) for folded in folding]
    for folded in folding:
        place = folder / ("folded" if folded else "unfolded")
        place.mkdir()
        files = {name: place / file for name, file in MODEL_FILENAMES.items()}
        for name, dtype in (("fp32", torch.float32), ("fp16", torch.float16)):
            write_onnx(
                files[name], model, metadata, {}, opset=opset, collapse_fc1=folded, dtype=dtype
            )
        write_int8(files["int8"], files["fp32"], shown)
        forms += [Backend("onnxruntime", folded, name, file, shape) for name, file in files.items()]
    return forms


def random_images(num_images: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """(N, H, W, C): what is in the images does not matter for the time."""
    numbers = np.random.default_rng(SEED)
    return numbers.integers(0, 256, (num_images, *shape), dtype=np.uint8)


def measure(form: Backend, batch_size: int, seconds: float) -> Latency:
    """Answer the same batch again and again, for so many seconds and MIN_CALLS at least."""
    batch = random_images(batch_size, form.image_shape)
    answer = {"PyTorch eager": pytorch_answer, "onnxruntime": onnxruntime_answer}[form.runtime](
        form
    )
    for _ in range(WARM_UP_CALLS):
        answer(batch)
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < MIN_CALLS:
        start = time.perf_counter()
        answer(batch)
        taken.append(time.perf_counter() - start)
    return Latency(statistics.median(taken), len(taken), resident_peak())


def pytorch_answer(form: Backend) -> Answer:
    import torch

    from alexnet.network.collapse import collapse_for_inference
    from alexnet.network.inputs import normalise
    from alexnet.network.weights import load_weights

    model, metadata = load_weights(form.file)
    if form.folded:
        model = collapse_for_inference(model)

    @torch.inference_mode()
    def answer(batch: NDArray[np.uint8]) -> Any:
        logits = model(normalise(torch.from_numpy(batch), metadata.mean, metadata.std))
        return logits.numpy(), logits.softmax(dim=1).numpy(), logits.argmax(dim=1).numpy()

    return answer


def onnxruntime_answer(form: Backend) -> Answer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(form.file, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"images": batch})
