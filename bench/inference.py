"""The answer by the clock: onnxruntime beside PyTorch, for one image and for many.

The baseline is PyTorch eager on the network as it is evaluated: unfolded, in float32,
in inference mode. All forms take the same uint8 images and give logits, probabilities
and label, on the CPU, with as many threads as each takes by itself. They are measured
in turn, each time in a fresh process, so that a machine that slows down slows down all,
and a form's memory is its own.
"""

import os
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from alexnet import config
from alexnet.cli.app import run
from alexnet.files import write_json
from alexnet.progress import progress
from bench.forms import WARM_UP_CALLS, Backend, Latency, measure, write_forms
from bench.process import run_in_subprocess
from bench.report import MIB, grid, spread
from stages.paths import PARAMS, ParamsFile

BATCH_SIZES = (1, 256)


@dataclass(frozen=True)
class Rounds:
    """A form, measured several times with batches of one size."""

    form: Backend
    latencies: list[Latency] = field(default_factory=list)

    def relative_to(self, baseline: "Rounds") -> dict[str, Any]:
        """Its figures; ratios are of the same round, and above 1 where it is faster."""
        ratios = [
            theirs.seconds / ours.seconds
            for theirs, ours in zip(baseline.latencies, self.latencies, strict=True)
        ]
        return {
            "form": self.form.name,
            "seconds": statistics.median(taken.seconds for taken in self.latencies),
            "rounds": [taken.seconds for taken in self.latencies],
            "calls": [taken.calls for taken in self.latencies],
            "ratio": statistics.median(ratios),
            "ratios": ratios,
            "file_bytes": self.form.file.stat().st_size,
            "peak_bytes": max(taken.peak_bytes for taken in self.latencies),
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
    """Measure how long an answer takes, by runtime, folding and precision."""
    values = config.load(params)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if weights is None:
            weights = folder / "weights.safetensors"
            run_in_subprocess(write_fresh_weights, weights, values)
        forms = run_in_subprocess(
            write_forms, folder, weights, values.export.opset, values.export.num_calibration_images
        )
        result = {
            "conditions": run_in_subprocess(conditions, rounds, seconds)
            | {"image_shape": forms[0].image_shape, "baseline": forms[0].name},
            "batch_sizes": {
                str(size): interleave(forms, size, rounds, seconds) for size in BATCH_SIZES
            },
        }
    show(result)
    if json_file:
        write_json(json_file, result)


def interleave(
    forms: list[Backend], batch_size: int, rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Measure the forms in turn, `rounds` times; a row for each, the baseline first."""
    measured = [Rounds(form) for form in forms]
    with progress(f"images at a time: {batch_size}", rounds * len(forms)) as advance:
        for _ in range(rounds):
            for taken in measured:
                taken.latencies.append(run_in_subprocess(measure, taken.form, batch_size, seconds))
                advance(1, f"{1e3 * taken.latencies[-1].seconds:,.1f} ms")
    return [taken.relative_to(measured[0]) for taken in measured]


def write_fresh_weights(path: Path, values: config.Params) -> None:
    import torch

    from alexnet.network.weights import ModelMetadata, build, save_weights

    classes = tuple(f"class {index}" for index in range(10))
    half = (0.5,) * values.data.channels
    metadata = ModelMetadata(values.model.variant, classes, values.crop_size, half, half)
    torch.manual_seed(0)
    save_weights(path, build(metadata, dropout=0.0), metadata)


def conditions(rounds: int, seconds: float) -> dict[str, Any]:
    """What the figures depend on."""
    import onnxruntime
    import torch

    from bench.training import processor

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


def show(result: dict[str, Any]) -> None:
    console = Console(width=max(Console().width, 120), highlight=False)
    given = result["conditions"]
    for line in (
        f"{given['processor']}, {given['threads']} threads, load of the machine before: "
        f"{given['load_average']:.1f}; PyTorch {given['torch']}, "
        f"onnxruntime {given['onnxruntime']}",
        f"images of {' x '.join(map(str, given['image_shape']))}; baseline: {given['baseline']}, "
        "as it is evaluated, in inference mode",
        f"measured in turn, rounds: {given['rounds']}, each time in a fresh process: the median "
        f"call of {given['seconds']:g} s or more after {given['warm_up_calls']} of warm-up",
        "peak memory: resident, of the whole process, loading included",
    ):
        console.print(line, soft_wrap=True)
    for size, rows in result["batch_sizes"].items():
        console.print()
        console.print(table(int(size), rows))


def table(batch_size: int, rows: list[dict[str, Any]]) -> Table:
    title = "One image" if batch_size == 1 else f"{batch_size} images at a time"
    shown = grid(
        title,
        *("ms, median", "images/s", "times as fast", "lowest to highest"),
        *("file, MB", "peak memory, MiB"),
    )
    for row in rows:
        shown.add_row(
            f"{1e3 * row['seconds']:,.2f}",
            f"{batch_size / row['seconds']:,.0f}",
            f"{row['ratio']:.2f}",
            spread(row["ratios"], 2),
            f"{row['file_bytes'] / 1e6:,.1f}",
            f"{row['peak_bytes'] / MIB:,.0f}",
            row["form"],
        )
    return shown


if __name__ == "__main__":
    run(bench)
