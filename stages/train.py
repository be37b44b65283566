"""train: from images to weights."""

import math
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from alexnet import config
from alexnet.cli.app import run
from alexnet.errors import UserError
from stages import paths
from stages.paths import PARAMS, ParamsFile

if TYPE_CHECKING:
    from alexnet.training.checkpoint import Checkpoints
    from alexnet.training.device import DeviceConfig
    from alexnet.training.distributed import DistributedContext

TIMEOUT_SECONDS = 5.0  # torchrun looks at its processes more often than that


def train(params: ParamsFile = PARAMS) -> None:
    """Train the network; write its weights, its history and its metrics."""
    values = config.load(params)  # first: a wrong value is told before torch is imported

    from alexnet.signals import TrainingInterrupted
    from alexnet.training.device import (
        DeviceConfig,
        disable_malloc_trim,
        make_deterministic,
        resolve_device,
        resolve_dtype,
    )
    from alexnet.training.distributed import (
        destroy_distributed,
        init_distributed,
        is_peer_failure,
        launch,
        resolve_world_size,
        started_by_torchrun,
    )

    device = resolve_device(values.train.device)
    if not started_by_torchrun():
        number = resolve_world_size(values.train.num_processes, device)
        if number > 1:
            return launch(number, ["-m", "stages.train", "--params", str(params)])
    make_deterministic(values.train.deterministic)
    disable_malloc_trim()
    # The reference operations are written for one type of numbers, that of the weights.
    wanted = "fp32" if values.model.ops == "reference" else values.train.precision
    device_config = DeviceConfig(device, resolve_dtype(wanted, device))
    distributed = init_distributed(device)
    try:
        _train(values, device_config, distributed)
    except TrainingInterrupted as stopped:
        if distributed.is_main_process:
            raise
        sys.exit(128 + stopped.signum)  # the first one speaks for all
    except RuntimeError as error:
        if distributed.world_size == 1 or not is_peer_failure(error):
            raise
        # Time for torchrun to see the one that failed first, which knows why, and to end this one.
        time.sleep(TIMEOUT_SECONDS)
        raise UserError(f"process {distributed.rank} has lost another one: {error}") from None
    finally:
        destroy_distributed(distributed)


def _train(
    values: config.Params, device_config: "DeviceConfig", distributed: "DistributedContext"
) -> None:
    """This process's part; the first one writes."""
    import torch

    from alexnet.data.dataset import load_meta, load_split
    from alexnet.evaluation import layer_profile as timing
    from alexnet.files import write_json
    from alexnet.network.reference.network import with_reference_operations
    from alexnet.network.weights import ModelMetadata, build, save_weights
    from alexnet.training import history
    from alexnet.training.device import oom_as_user_error
    from alexnet.training.loader import Split
    from alexnet.training.tensorboard import Events
    from alexnet.training.trainer import Trainer

    meta = load_meta(paths.PROCESSED)
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
    rows: list[history.Epoch] = []
    seconds: list[float] = []

    def on_epoch(row: history.Epoch, took: float) -> None:
        if not distributed.is_main_process:
            return
        rows.append(row)
        history.write(paths.HISTORY, rows)
        history.write_layers(paths.LAYERS, trainer.layer_rows)
        if events:
            events.add(row)
        if math.isnan(took):  # of a run that this one goes on from
            return
        seconds.append(took)
        left = (values.train.epochs - row.epoch) * sum(seconds) / len(seconds)
        print(
            f"epoch {row.epoch}/{values.train.epochs}  "
            f"train loss {row.train_loss:.4f} accuracy {row.train_accuracy:.2%}  "
            f"val loss {row.val_loss:.4f} accuracy {row.val_accuracy:.2%}  "
            f"{took:.1f} s, {meta.num_images('train') / took:,.0f} images/s, "
            f"{left / 60:.0f} min left",
            flush=True,
        )

    with oom_as_user_error(values.train.batch_size):
        trainer = Trainer(
            model,
            metadata,
            Split(*load_split(paths.PROCESSED, "train")),
            Split(*load_split(paths.PROCESSED, "val")),
            values.train,
            device_config,
            distributed,
            checkpoints,
        )
        trainer.fit(on_epoch)
    if not distributed.is_main_process:
        return
    save_weights(paths.WEIGHTS, model, metadata)
    times = timing.time_layers(
        trainer.network, metadata.image_size, values.train.batch_size, device_config
    )
    timing.write(paths.TIMING, times)
    facts = {"seconds": trainer.total_seconds, "device": str(device_config)}
    write_json(paths.TRAIN_METRICS, asdict(rows[-1]) | facts)
    if checkpoints:
        checkpoints.remove()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"weights in {paths.WEIGHTS}, history in {paths.HISTORY}; "
        f"{trainer.total_seconds:,.0f} s of training, peak memory {peak:,.0f} MiB"
    )


def _checkpoints(
    values: config.Params, device_config: "DeviceConfig", distributed: "DistributedContext"
) -> "Checkpoints":
    """The checkpoints of exactly this run: of these values, this data, this code, this machine."""
    from alexnet.config import EXECUTION_ONLY
    from alexnet.training.checkpoint import (
        Checkpoints,
        checkpoint_root,
        hardware_fingerprint,
        hash_files,
    )

    # All of the library: what happens to be imported differs from one command to another.
    modules = [*Path(config.__file__).parent.rglob("*.py")]
    names = ("meta.json", "train.safetensors", "val.safetensors")
    return Checkpoints(
        checkpoint_root(),
        {
            "model": values.model.model_dump(),
            "train": values.train.model_dump(exclude=EXECUTION_ONLY),
            "data": hash_files([paths.PROCESSED / name for name in names]),
            "code": hash_files(modules),
            "machine": hardware_fingerprint(device_config.device, distributed.world_size),
            "precision": str(device_config.dtype),  # which `auto` has chosen
        },
    )


if __name__ == "__main__":
    run(train)
