"""The training by the clock: against the loop that a tutorial would write, and as it grows.

Every figure is of whole steps, augmentation and feeding included. What is compared is
measured in turn, several times, so that a machine that slows down slows down both.
"""

import os
import re
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
from alexnet.training.device import DeviceConfig, describe_device, resolve_device, resolve_dtype
from bench import operations, report
from bench.clock import WARM_UP_STEPS, Budget
from bench.process import run_in_subprocess
from bench.speed import Context, Speed, Workload, epoch_seconds, measure, whole_run
from stages import paths
from stages.paths import PARAMS, ParamsFile

BATCH_SIZES = (32, 64, 128, 256, 512, 1024, 2048)
WATCHED_STEPS = 10
NUM_IMAGES = (5_000, 15_000, 50_000)


@dataclass(frozen=True)
class Rounds:
    """A case, measured one or several times."""

    case: Workload
    speeds: list[Speed]

    @property
    def images_per_second(self) -> float:
        """The median."""
        return statistics.median(speed.images_per_second for speed in self.speeds)

    def as_dict(self) -> dict[str, Any]:
        return {
            **asdict(self.case),
            "images_per_second": self.images_per_second,
            "rounds": [speed.images_per_second for speed in self.speeds],
            "steps": [speed.steps for speed in self.speeds],
            "seconds_per_epoch": self.case.num_images / self.images_per_second,
            "peak_bytes": max(speed.peak_bytes for speed in self.speeds),
        }


def bench(
    data: Annotated[Path, typer.Option(help="The preprocessed images.")] = paths.PROCESSED,
    params: ParamsFile = PARAMS,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images a step, for both loops.", show_default="params.yaml's"),
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
    """Measure the training against a tutorial's loop, and how its cost grows."""
    values = config.load(params)
    meta = load_meta(data)
    metadata = ModelMetadata(
        values.model.variant, meta.classes, values.crop_size, meta.mean, meta.std
    )
    device = resolve_device(values.train.device)
    device_config = DeviceConfig(device, resolve_dtype(values.train.precision, device))
    setting = Context(data, metadata, values, device_config, Budget(seconds, steps))
    num_images = len(load_split(data, "train")[1])
    batch_size = batch_size or values.train.batch_size

    result: dict[str, Any] = {
        "conditions": conditions(setting, rounds) | {"data": meta.title, "num_images": num_images}
    }
    result |= compare(setting, num_images, batch_size, rounds)
    own_batch = result["comparison"][-1]
    result["watching"] = watch(setting, num_images, own_batch["seconds_per_epoch"], rounds)
    if growth:
        result["growth"] = {
            "batch_size": grow_batches(setting, num_images, BATCH_SIZES),
            "num_images": grow_data(setting, batch_size, rounds, NUM_IMAGES),
        }
    if device.type == "cuda":
        result["whole_run"] = run_twice(setting, epochs or values.train.epochs)
    report.show(result)
    if json_file:
        write_json(json_file, result)


def conditions(setting: Context, rounds: int) -> dict[str, Any]:
    """What the figures depend on."""
    device_config = setting.device_config
    return {
        "device": describe_device(device_config.device),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "precision": str(device_config.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "rounds": rounds,
        "seconds": None if setting.limit.steps else setting.limit.seconds,
        "steps": setting.limit.steps,
        "warm_up_steps": WARM_UP_STEPS[device_config.device.type],
    }


def processor() -> str:
    """Its name and number of usable cores, as Linux tells them."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"{found[1] if found else os.uname().machine}, {len(os.sched_getaffinity(0))} cores"


def compare(setting: Context, num_images: int, batch_size: int, rounds: int) -> dict[str, Any]:
    """Both loops at the same batch size, and ours at the one in params.yaml."""
    sizes = [batch_size]
    if setting.params.train.batch_size != batch_size:
        sizes.append(setting.params.train.batch_size)
    cases = [Workload("tutorial", batch_size, max(batch_size, num_images))]
    cases += [Workload("ours", size, max(size, num_images)) for size in sizes]
    measured = interleave("against the tutorial", setting, cases, rounds)
    work = operations.work(setting.metadata, setting.params.train, setting.device_config)
    columns = [
        taken.as_dict() | work[taken.case.loop].at(taken.images_per_second, taken.case.batch_size)
        for taken in measured
    ]
    tutorial, ours = columns[:2]
    return {
        "comparison": columns,
        "ratio": ours["images_per_second"] / tutorial["images_per_second"],
        "ratios": [a / b for a, b in zip(ours["rounds"], tutorial["rounds"], strict=True)],
    }


def grow_batches(
    setting: Context, num_images: int, batch_sizes: Sequence[int]
) -> list[dict[str, Any]]:
    """Ours on all images, by the number of images in a step."""
    cases = [Workload("ours", size, max(size, num_images)) for size in batch_sizes]
    return [taken.as_dict() for taken in interleave("batch sizes", setting, cases, rounds=1)]


def grow_data(
    setting: Context, batch_size: int, rounds: int, sizes: Sequence[int]
) -> list[dict[str, Any]]:
    """Ours by the size of the data set, with the speed as a share of that on the smallest."""
    cases = [Workload("ours", batch_size, size) for size in sizes]
    rows = [taken.as_dict() for taken in interleave("data sets", setting, cases, rounds)]
    first = rows[0]["images_per_second"]
    return [row | {"relative": row["images_per_second"] / first} for row in rows]


def interleave(
    title: str, setting: Context, cases: Sequence[Workload], rounds: int
) -> list[Rounds]:
    """Measure the cases in turn, `rounds` times, each time in a fresh process."""
    measured = [Rounds(case, []) for case in cases]
    with progress(title, rounds * len(cases)) as advance:
        for _ in range(rounds):
            for taken in measured:
                taken.speeds.append(run_in_subprocess(measure, setting, taken.case))
                advance(1, f"{taken.speeds[-1].images_per_second:,.0f} images/s")
    return measured


def watch(
    setting: Context, num_images: int, seconds_per_epoch: float, rounds: int
) -> dict[str, Any]:
    """What `alexnet.training.layer_monitor` costs: short epochs with it and without, in turn.

    It samples once an epoch. So that its cost does not drown in the noise of a long one, it is
    measured in epochs of few steps; its share is then also given of a whole epoch.
    """
    few = min(num_images, WATCHED_STEPS * setting.params.train.batch_size)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with progress("watching the layers", 2 * rounds) as advance:
        for _ in range(rounds):
            for watched, taken in seconds.items():
                taken.append(run_in_subprocess(epoch_seconds, setting, few, watched))
                advance(1, f"{taken[-1]:.2f} s")
    cost = statistics.median(seconds[True]) - statistics.median(seconds[False])
    return {
        "num_images": few,
        "seconds_without": seconds[False],
        "seconds_with": seconds[True],
        "ratio": statistics.median(seconds[True]) / statistics.median(seconds[False]),
        "ratio_of_whole_epoch": 1 + cost / seconds_per_epoch,
    }


def run_twice(setting: Context, epochs: int) -> dict[str, Any]:
    """Seconds of a run that has to compile the step, and of one that finds it compiled."""
    with tempfile.TemporaryDirectory() as cache:
        cold = run_in_subprocess(whole_run, setting, epochs, Path(cache))
        warm = run_in_subprocess(whole_run, setting, epochs, Path(cache))
    return {"epochs": epochs, "cold_seconds": cold, "warm_seconds": warm}


if __name__ == "__main__":
    run(bench)
