"""train: from images to weights."""

import logging
import math
import resource
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from alexnet import config
from alexnet.cli.app import run
from stages import paths
from stages.params import load, record
from stages.paths import PARAMS, ParamsFile

if TYPE_CHECKING:
    from alexnet.training.checkpoint import Checkpoints
    from alexnet.training.device import DeviceConfig
    from alexnet.training.distributed import DistributedContext

CODE = ("network", "data", "training")  # the packages whose code decides a run's bytes

logger = logging.getLogger("stages.train")


def train(params: ParamsFile = PARAMS) -> None:
    """Train the network; write its weights, its history and its metrics."""
    values = load(params)  # first: a wrong value fails before torch is imported

    from alexnet.signals import TrainingInterrupted
    from alexnet.training.compiler import can_compile
    from alexnet.training.device import DeviceConfig, configure_torch, resolve_device, resolve_dtype
    from alexnet.training.distributed import (
        destroy_distributed,
        init_distributed,
        started_by_torchrun,
    )
    from alexnet.training.launcher import launch, resolve_world_size
    from alexnet.training.peers import end_after_peer_failure, is_peer_failure

    device = resolve_device(values.train.device)
    if not started_by_torchrun():
        number = resolve_world_size(values.train.num_processes, device)
        if number > 1:
            return launch(number, ["-m", "stages.train", "--params", str(params)])
    configure_torch(values.train.deterministic)
    # The reference operations are there to be stepped through: in the weights' own type,
    # float32, and run as they are written.
    is_reference = values.model.ops == "reference"
    dtype = resolve_dtype("fp32" if is_reference else values.train.precision, device)
    distributed = init_distributed(device)
    try:
        compiles = not is_reference and can_compile(device, distributed)
        device_config = DeviceConfig(device, dtype, compiles)
        _train(values, device_config, distributed)
    except TrainingInterrupted as stopped:
        if distributed.is_main_process:
            raise
        sys.exit(128 + stopped.signum)  # the main process reports it
    except RuntimeError as error:
        if distributed.store is None or not is_peer_failure(error):
            raise
        end_after_peer_failure(distributed.store, distributed.rank, distributed.world_size, error)
    finally:
        destroy_distributed(distributed)


def _train(
    values: config.Params, device_config: "DeviceConfig", distributed: "DistributedContext"
) -> None:
    """This process's part; the main process writes the files."""
    import torch

    from alexnet.data.dataset import load_meta, load_split
    from alexnet.files import check_writable, write_json, write_rows
    from alexnet.network.reference.network import with_reference_operations
    from alexnet.network.weights import ModelMetadata, build, save_weights
    from alexnet.progress import format_seconds
    from alexnet.training.device import nondeterminism_as_user_error, oom_as_user_error
    from alexnet.training.history import Epoch, LayerEpoch
    from alexnet.training.loader import Split
    from alexnet.training.tensorboard import Events
    from alexnet.training.trainer import Trainer

    meta = load_meta(paths.PROCESSED)
    if distributed.is_main_process:  # before the work, not after it
        for output in (paths.WEIGHTS, paths.HISTORY):
            check_writable(output.parent)
    metadata = ModelMetadata(
        values.model.variant, meta.classes, values.crop_size, meta.mean, meta.std
    )
    torch.manual_seed(values.train.seed)
    model = build(metadata, values.model.dropout)
    if values.model.ops == "reference":
        model = with_reference_operations(model)
    checkpoints = (
        _checkpoints(values, device_config, distributed) if distributed.is_main_process else None
    )
    writes_events = distributed.is_main_process and values.train.tensorboard
    events = Events(paths.EVENTS / time.strftime("%Y%m%d-%H%M%S")) if writes_events else None
    rows: list[Epoch] = []
    seconds: list[float] = []

    def write_history(sync: bool) -> None:
        write_rows(paths.HISTORY, Epoch, rows, sync)
        write_rows(paths.LAYERS, LayerEpoch, trainer.state.layer_rows, sync)

    def on_epoch(row: Epoch, took: float) -> None:
        if not distributed.is_main_process:
            return
        rows.append(row)
        write_history(sync=False)  # a disk may take longer than a GPU's epoch
        if events:
            events.add(row)
        if math.isnan(took):  # from before a resume
            return
        seconds.append(took)
        left = (values.train.epochs - row.epoch) * statistics.median(seconds)  # the first compiles
        remaining = f", {format_seconds(left, 2)} left" if left else ""
        logger.info(
            f"epoch {row.epoch}/{values.train.epochs}  "
            f"train loss {row.train_loss:.4f} accuracy {row.train_accuracy:.2%}  "
            f"val loss {row.val_loss:.4f} accuracy {row.val_accuracy:.2%}  "
            f"{format_seconds(took)}, {meta.num_images('train') / took:,.0f} images/s{remaining}"
        )

    with oom_as_user_error(values.train.batch_size), nondeterminism_as_user_error():
        trainer = Trainer(
            model,
            metadata,
            Split(*load_split(paths.PROCESSED, "train")),
            Split(*load_split(paths.PROCESSED, "val")),
            values.train,
            device_config,
            distributed,
            checkpoints,
            use_cuda_graph=values.model.ops == "library",
        )
        trainer.fit(on_epoch)
    if not distributed.is_main_process:
        return
    write_history(sync=True)
    save_weights(paths.WEIGHTS, model, metadata)
    # Wall-clock time in a file of its own: the same weights then give the same metrics.
    write_json(paths.TRAIN_METRICS, asdict(rows[-1]) | {"device": str(device_config)})
    record(paths.TRAIN_PARAMS, values)
    write_json(paths.TIMING, {"seconds": trainer.state.total_seconds})
    if checkpoints:
        checkpoints.remove()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    logger.info(
        f"weights in {paths.WEIGHTS}, history in {paths.HISTORY}; "
        f"{format_seconds(trainer.state.total_seconds)} of training, peak memory {peak:,.0f} MiB"
    )


def _checkpoints(
    values: config.Params, device_config: "DeviceConfig", distributed: "DistributedContext"
) -> "Checkpoints":
    """The checkpoints of exactly this run: these parameters, data, code and hardware."""
    from alexnet.config import EXECUTION_ONLY
    from alexnet.training.checkpoint import (
        Checkpoints,
        checkpoint_root,
        hardware_fingerprint,
        hash_files,
    )

    library = Path(config.__file__).parent
    modules = [module for room in CODE for module in (library / room).rglob("*.py")]
    names = ("meta.json", "train.safetensors", "val.safetensors")
    return Checkpoints(
        checkpoint_root(),
        {
            "model": values.model.model_dump(),
            "train": values.train.model_dump(exclude=EXECUTION_ONLY),
            "data": hash_files([paths.PROCESSED / name for name in names], paths.PROCESSED),
            "code": hash_files([library / "seeding.py", *modules], library),
            "hardware": hardware_fingerprint(device_config.device, distributed.world_size),
            "dtype": str(device_config.dtype),  # as `auto` has resolved it
            "compiled": device_config.compiles,  # other kernels, which round differently
        },
    )


if __name__ == "__main__":
    run(train)
