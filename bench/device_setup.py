"""What the parts of `bench.device` share: data, trainers, and what a rehearsal makes small."""

import dataclasses
import gc
import math
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from alexnet import config
from alexnet.data.dataset import load_meta, load_split
from alexnet.data.download import download
from alexnet.data.preprocess import preprocess
from alexnet.errors import UserError
from alexnet.files import read_json, write_json
from alexnet.network.weights import ModelMetadata, build
from alexnet.training import autosave, trainer
from alexnet.training.compiler import can_compile
from alexnet.training.device import DeviceConfig, configure_torch, resolve_device, resolve_dtype
from alexnet.training.distributed import SINGLE_PROCESS
from alexnet.training.history import Epoch
from alexnet.training.loader import Split
from alexnet.training.trainer import Trainer
from bench.loops import Context, first_images
from bench.measure import Budget
from bench.parts import Recorder

REHEARSED_IMAGES = 1_100  # two full batches of 512, and a short one
REHEARSED_EPOCHS = 4  # the third captures the last of the graphs


@dataclass(frozen=True)
class Setup:
    """work: the folder of data and compiled code, which a second call finds there."""

    params: config.Params
    work: Path
    out: Path
    is_rehearsal: bool

    @property
    def processed(self) -> Path:
        return self.work / "processed"

    @property
    def compiled(self) -> Path:
        return self.work / "compiled"

    def epochs(self, wanted: int) -> int:
        return min(wanted, REHEARSED_EPOCHS) if self.is_rehearsal else wanted


def prepare_data(setup: Setup, recorder: Recorder) -> None:
    """The stages download and preprocess, without DVC; nothing if an earlier call did that."""
    wanted, made = setup.params.data.model_dump(), setup.work / "data.json"
    was_there = made.exists() and read_json(made) == wanted
    recorder.add(was_there=was_there)
    if not was_there:
        download(setup.params.data, setup.work / "raw")
        preprocess(setup.params.data, setup.work / "raw", setup.processed)
        write_json(made, wanted)
    meta = load_meta(setup.processed)
    counts = {split: meta.num_images(split) for split in ("train", "val", "test")}
    recorder.add(title=meta.title, num_images=counts, mean=meta.mean, std=meta.std)


class Bench:
    """One process's device and images. Raises UserError if there is no GPU or no data."""

    def __init__(self, setup: Setup) -> None:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(setup.compiled)
        self.setup, self.params = setup, setup.params
        self.device = resolve_device("cuda")
        configure_torch(self.params.train.deterministic)
        dtype = resolve_dtype(self.params.train.precision, self.device)
        compiles = can_compile(self.device, SINGLE_PROCESS)
        self.device_config = DeviceConfig(self.device, dtype, compiles)
        if not setup.processed.exists():
            raise UserError("there are no images; run the part `data` first")
        meta = load_meta(setup.processed)
        size = self.params.crop_size
        self.metadata = ModelMetadata(
            self.params.model.variant, meta.classes, size, meta.mean, meta.std
        )
        self.train, self.val = (Split(*load_split(setup.processed, n)) for n in ("train", "val"))
        if setup.is_rehearsal:
            self.train = first_images(self.train, REHEARSED_IMAGES)
            without_values()

    def trainer(
        self,
        *,
        dropout: float | None = None,
        train: Split | None = None,
        val: Split | None = None,
        options: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Trainer:
        """A new run with changes of `train`'s parameters. options: of Trainer."""
        self.free()
        params = self.params.train.model_copy(update=changes)
        torch.manual_seed(params.seed)
        model = build(self.metadata, self.params.model.dropout if dropout is None else dropout)
        parts = self.metadata, train or self.train, val or self.val, params, self.device_config
        return Trainer(model, *parts, **(options or {}))

    def free(self) -> None:
        """Forget the memory and the compiled functions of earlier runs; their code stays cached.

        torch.compile gives up on a function after a few that differ in the objects they hold.
        """
        gc.collect()
        torch.compiler.reset()
        torch.cuda.empty_cache()

    def context(self, budget: Budget, **changes: Any) -> Context:
        """For the measurements of `bench.loops`."""
        train = self.params.train.model_copy(update=changes)
        params = self.params.model_copy(update={"train": train})
        return Context(self.setup.processed, self.metadata, params, self.device_config, budget)


def without_values() -> None:
    """Train on a machine that computes nothing: losses and counts have no meaning there."""
    trainer.check_finite = autosave.check_finite = lambda sums, first_step: None
    trainer.loss_and_accuracy = lambda sums: (math.nan, math.nan)


def fit(run: Trainer) -> list[Epoch]:
    """Train to the end; returns the history."""
    run.fit(lambda row, seconds: None)
    return run.state.rows


def rows_of(history: list[Epoch]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(row) for row in history]


GPU_STATE = "name,driver_version,memory.total,power.limit,power.draw,clocks.max.sm,clocks.sm"
GPU_STATE += ",clocks.mem,temperature.gpu,persistence_mode"


def gpu_state() -> dict[str, str]:
    """What nvidia-smi says of the first GPU."""
    query = f"--query-gpu={GPU_STATE}"
    values = first_line("nvidia-smi", query, "--format=csv,noheader").split(", ")
    return dict(zip(GPU_STATE.split(","), values, strict=False))


def first_line(*command: str) -> str:
    """Of a command's output, or why it did not run."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (result.stdout or result.stderr).strip().partition("\n")[0]


def process_age() -> float:
    """Seconds since this process was started, imports included."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # proc(5): starttime, since the boot
    now = re.match(r"[\d.]+", Path("/proc/uptime").read_text())
    assert now is not None
    return float(now[0]) - started
