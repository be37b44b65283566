"""Training speed: against two other loops, by batch size and by size of the data set.

Every figure is of whole steps, augmentation and loading included. The loops are measured in
turn, several times, so that a machine that slows down slows down both.
"""

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from alexnet import config
from alexnet.cli.app import run
from alexnet.data.dataset import load_meta, load_split
from alexnet.files import write_json
from alexnet.network.weights import ModelMetadata
from alexnet.progress import progress
from alexnet.training.compiler import can_compile
from alexnet.training.device import DeviceConfig, describe_device, resolve_device, resolve_dtype
from alexnet.training.distributed import SINGLE_PROCESS
from bench import report
from bench.costs import costs
from bench.loops import LOOPS, Context, Speed, Workload, epoch_seconds, measure, run_seconds
from bench.measure import WARM_UP_STEPS, Budget, processor, run_in_subprocess
from stages import paths
from stages.paths import PARAMS, ParamsFile

BATCH_SIZES = (32, 64, 128, 256, 512, 1024, 2048)
MONITORED_STEPS = 10
NUM_IMAGES = (5_000, 15_000, 50_000)


@dataclass(frozen=True)
class Rounds:
    """The speeds of one workload, one or several."""

    workload: Workload
    speeds: list[Speed]

    @property
    def images_per_second(self) -> float:
        """The median."""
        return statistics.median(speed.images_per_second for speed in self.speeds)

    def seconds_per_step(self) -> dict[str, float]:
        """The medians, on the host and on the device."""
        host = [speed.host_seconds / speed.steps for speed in self.speeds]
        device = [speed.device_seconds / speed.steps for speed in self.speeds]
        return {
            "host_seconds_per_step": statistics.median(host),
            "device_seconds_per_step": statistics.median(device),
        }

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.workload),
            "images_per_second": self.images_per_second,
            "rounds": [speed.images_per_second for speed in self.speeds],
            "steps": [speed.steps for speed in self.speeds],
            **self.seconds_per_step(),
            "seconds_per_epoch": self.workload.num_images / self.images_per_second,
            "peak_bytes": max(speed.peak_bytes for speed in self.speeds),
        }


def bench(
    data: Annotated[Path, typer.Option(help="The preprocessed images.")] = paths.PROCESSED,
    params: ParamsFile = PARAMS,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images a step, for all loops.", show_default="params.yaml's"),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 3,
    seconds: Annotated[float, typer.Option(min=0, help="Of one measurement, at least.")] = 6,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Of one measurement, in place of --seconds.")
    ] = None,
    growth: Annotated[bool, typer.Option(help="Batches and data sets of several sizes.")] = True,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of a whole run on a GPU.", show_default="all")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write JSON, too.")] = None,
) -> None:
    """Measure training against two other loops, by batch size and by size of the data set."""
    values = config.load(params)
    meta = load_meta(data)
    metadata = ModelMetadata(
        values.model.variant, meta.classes, values.crop_size, meta.mean, meta.std
    )
    device = resolve_device(values.train.device)
    dtype = resolve_dtype(values.train.precision, device)
    device_config = DeviceConfig(device, dtype, can_compile(device, SINGLE_PROCESS))
    context = Context(data, metadata, values, device_config, Budget(seconds, steps))
    num_images = len(load_split(data, "train")[1])
    batch_size = batch_size or values.train.batch_size

    result: dict[str, Any] = {
        "conditions": conditions(context, rounds) | {"data": meta.title, "num_images": num_images}
    }
    result |= compare(context, num_images, batch_size, rounds)
    own_batch = result["comparison"][-1]
    result["monitoring"] = monitor(context, num_images, own_batch["seconds_per_epoch"], rounds)
    if growth:
        result["growth"] = {
            "batch_size": grow_batches(context, num_images, BATCH_SIZES),
            "num_images": grow_data(context, batch_size, rounds, NUM_IMAGES),
        }
    if device.type == "cuda":
        result["whole_run"] = run_twice(context, epochs or values.train.epochs)
    report.show_training(result)
    if json_file:
        write_json(json_file, result)


def conditions(context: Context, rounds: int) -> dict[str, Any]:
    """The conditions of the measurement."""
    device_config = context.device_config
    return {
        "device": describe_device(device_config.device),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "precision": str(device_config.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "rounds": rounds,
        "seconds": None if context.budget.steps else context.budget.seconds,
        "steps": context.budget.steps,
        "warm_up_steps": WARM_UP_STEPS[device_config.device.type],
    }


def compare(context: Context, num_images: int, batch_size: int, rounds: int) -> dict[str, Any]:
    """All loops at the same batch size, and ours at that of params.yaml.

    `relative_to` has a loop's speed in multiples of that of each loop before it, by name, where
    both have the same batch size: the quotient of the medians, and of each round.
    """
    workloads = [Workload(loop, batch_size, max(batch_size, num_images)) for loop in LOOPS]
    if (own := context.params.train.batch_size) != batch_size:
        workloads.append(Workload("ours", own, max(own, num_images)))
    measured = interleave("against other loops", context, workloads, rounds)
    cost = costs(context.metadata, context.params.train, context.device_config)
    columns: list[dict[str, Any]] = []
    for taken in measured:
        loop, size = taken.workload.loop, taken.workload.batch_size
        column = taken.as_dict() | cost[loop].at(taken.images_per_second, size)
        column["relative_to"] = {
            other["loop"]: quotient(column, other)
            for other in columns
            if other["batch_size"] == size
        }
        columns.append(column)
    return {"comparison": columns}


def quotient(column: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The speed of one loop in multiples of the other's: of the medians, and by round."""
    rounds = zip(column["rounds"], other["rounds"], strict=True)
    return {
        "ratio": column["images_per_second"] / other["images_per_second"],
        "ratios": [a / b for a, b in rounds],
    }


def grow_batches(
    context: Context, num_images: int, batch_sizes: Sequence[int]
) -> list[dict[str, Any]]:
    """Ours on all images, by batch size."""
    workloads = [Workload("ours", size, max(size, num_images)) for size in batch_sizes]
    return [taken.as_dict() for taken in interleave("batch sizes", context, workloads, rounds=1)]


def grow_data(
    context: Context, batch_size: int, rounds: int, sizes: Sequence[int]
) -> list[dict[str, Any]]:
    """Ours by the size of the data set; `relative` is to the speed on the smallest."""
    workloads = [Workload("ours", batch_size, size) for size in sizes]
    rows = [taken.as_dict() for taken in interleave("data sets", context, workloads, rounds)]
    first = rows[0]["images_per_second"]
    return [row | {"relative": row["images_per_second"] / first} for row in rows]


def interleave(
    title: str, context: Context, workloads: Sequence[Workload], rounds: int
) -> list[Rounds]:
    """Measure the workloads in turn, `rounds` times, each time in a fresh process."""
    measured = [Rounds(workload, []) for workload in workloads]
    with progress(title, rounds * len(workloads)) as advance:
        for _ in range(rounds):
            for taken in measured:
                taken.speeds.append(run_in_subprocess(measure, context, taken.workload))
                advance(1, f"{taken.speeds[-1].images_per_second:,.0f} images/s")
    return measured


def monitor(
    context: Context, num_images: int, seconds_per_epoch: float, rounds: int
) -> dict[str, Any]:
    """The cost of `alexnet.training.layer_monitor`: short epochs with and without it, in turn.

    It samples once an epoch. Measured in epochs of few steps, its cost exceeds the noise; it is
    then also given as a share of a whole epoch.
    """
    few = min(num_images, MONITORED_STEPS * context.params.train.batch_size)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with progress("layer monitor", 2 * rounds) as advance:
        for _ in range(rounds):
            for monitored, taken in seconds.items():
                taken.append(run_in_subprocess(epoch_seconds, context, few, monitored))
                advance(1, f"{taken[-1]:.2f} s")
    cost = statistics.median(seconds[True]) - statistics.median(seconds[False])
    return {
        "num_images": few,
        "seconds_without": seconds[False],
        "seconds_with": seconds[True],
        "ratio": statistics.median(seconds[True]) / statistics.median(seconds[False]),
        "ratio_of_whole_epoch": 1 + cost / seconds_per_epoch,
    }


def run_twice(context: Context, epochs: int) -> dict[str, Any]:
    """The seconds of a run that compiles the step, and of one with the step in the cache."""
    with tempfile.TemporaryDirectory() as cache:
        cold = run_in_subprocess(run_seconds, context, epochs, Path(cache))
        warm = run_in_subprocess(run_seconds, context, epochs, Path(cache))
    return {"epochs": epochs, "cold_seconds": cold, "warm_seconds": warm}


if __name__ == "__main__":
    run(bench)
