"""train: from images to weights."""

import logging
import math
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alexnet import config
from alexnet.errors import UserError
from alexnet.signals import StoppedBySignal, TrainingInterrupted
from stages import paths
from stages.command import run
from stages.data_checks import check_processed
from stages.params import load, record
from stages.paths import PARAMS, ParamsFile

if TYPE_CHECKING:
    from alexnet.data.dataset import Meta
    from alexnet.network.parent import ParentNetwork
    from alexnet.training.checkpoint import Checkpoints
    from alexnet.training.device import DeviceConfig
    from alexnet.training.distributed import DistributedContext
    from alexnet.training.trainer import Trainer

CODE = ("network", "data", "training")  # the packages whose code decides a run's bytes

logger = logging.getLogger("stages.train")


def train(params: ParamsFile = PARAMS) -> None:
    """Train the network; write its weights, its history and its metrics."""
    values = load(params)  # first: a wrong value fails before torch is imported
    run_distributed("train", params, values, _train)


def run_distributed(
    stage: str,
    params: Path,
    values: config.Params,
    work: Callable[[config.Params, "DeviceConfig", "DistributedContext"], None],
) -> None:
    """Do a stage's work here, or in each of the processes of a distributed training.

    If train.num_processes asks for several, they are started with the stage's command, from the
    file `params`. Raises UserError if they cannot be.
    """
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
            return launch(number, ["-m", f"stages.{stage}", "--params", str(params)])
    configure_torch(values.train.deterministic)
    # The reference operations are there to be stepped through: in float32, as they are written.
    is_reference = values.model.ops == "reference"
    dtype = resolve_dtype("fp32" if is_reference else values.train.precision, device)
    distributed = init_distributed(device)
    try:
        compiles = not is_reference and can_compile(device, distributed)
        device_config = DeviceConfig(device, dtype, compiles)
        work(values, device_config, distributed)
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
    check_processed(values, log=distributed.is_main_process)
    outputs = paths.WEIGHTS.parent, paths.HISTORY.parent
    training = trained(values, device_config, distributed, outputs, _write_progress)
    with training as (trainer, checkpoints):
        if checkpoints:
            _write_results(trainer)
            record(paths.TRAIN_PARAMS, values)
            checkpoints.mark_complete(paths.WEIGHTS)


@contextmanager
def trained(
    values: config.Params,
    device_config: "DeviceConfig",
    distributed: "DistributedContext",
    outputs: Sequence[Path],
    write_progress: Callable[["Trainer", bool], None] = lambda trainer, sync: None,
) -> Iterator[tuple["Trainer", "Checkpoints | None"]]:
    """Train to the end, from the latest checkpoint if there is one; the block stores the results.

    Yields the trainer and, in the main process, the checkpoints, which serve until that is done.
    outputs: folders that are written to then. write_progress: called in the main process after each
    epoch, with the trainer and whether to wait for the disk. Raises TrainingInterrupted on a
    signal, and OSError, before the training, if an output cannot be written.
    """
    from alexnet.data.dataset import load_meta
    from alexnet.files import check_writable

    meta = load_meta(paths.PROCESSED)
    checkpoints = None
    if distributed.is_main_process:
        for folder in outputs:  # before the work, not after it
            check_writable(folder)
        steps_per_epoch = math.ceil(meta.num_images("train") / values.train.batch_size)
        num_steps = steps_per_epoch * values.train.epochs
        checkpoints = _checkpoints(values, device_config, distributed, num_steps)
    reached = "before the first step"
    try:
        trainer = _fit(values, meta, device_config, distributed, checkpoints, write_progress)
        reached = "after the last step"
        yield trainer, checkpoints
    except StoppedBySignal as stopped:
        if checkpoints and (step := checkpoints.latest_step()):
            reached += f"; {checkpoints.describe_resume(step)}"
        raise TrainingInterrupted(stopped.signum, reached) from None
    finally:
        if checkpoints:
            checkpoints.close()


def _fit(
    values: config.Params,
    meta: "Meta",
    device_config: "DeviceConfig",
    distributed: "DistributedContext",
    checkpoints: "Checkpoints | None",
    write_progress: Callable[["Trainer", bool], None],
) -> "Trainer":
    """Train to the end, with a line and a row of the history for each epoch."""
    import torch

    from alexnet.data.dataset import load_split
    from alexnet.network.reference.network import with_reference_operations
    from alexnet.network.weights import ModelMetadata, build
    from alexnet.progress import format_seconds
    from alexnet.training.device import nondeterminism_as_user_error, oom_as_user_error
    from alexnet.training.history import Epoch
    from alexnet.training.loader import Split
    from alexnet.training.tensorboard import Events
    from alexnet.training.trainer import Trainer
    from alexnet.training.warm_start import start_from

    parent = _parent(values)
    # A parent's weights go with its normalisation.
    mean, std = (meta.mean, meta.std) if parent is None else parent.metadata.normalisation
    metadata = ModelMetadata(values.model.variant, meta.classes, values.crop_size, mean, std)
    torch.manual_seed(values.train.seed)
    model = build(metadata, values.model.dropout)
    start_fc3, freeze = values.model.start_fc3, values.train.freeze
    warm_start = parent and start_from(model, metadata, parent, start_fc3=start_fc3, freeze=freeze)
    if values.model.ops == "reference":
        model = with_reference_operations(model)
    writes_events = distributed.is_main_process and values.train.tensorboard
    events = Events(paths.EVENTS / time.strftime("%Y%m%d-%H%M%S")) if writes_events else None
    seconds: list[float] = []

    def on_epoch(row: Epoch, took: float) -> None:
        if not distributed.is_main_process:
            return
        try:
            write_progress(trainer, False)  # a disk may take longer than a GPU's epoch
            if events:
                events.add(row)
        except OSError as error:  # to look at meanwhile: at the end it is written again
            logger.warning(f"no history of epoch {row.epoch} ({error}); training continues")
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
            warm_start=warm_start,
            use_cuda_graph=values.model.ops == "library",
        )
        trainer.fit(on_epoch)
    return trainer


def _parent(values: config.Params) -> "ParentNetwork | None":
    """The weights to start from; None: the training starts from nothing."""
    from alexnet.network.parent import ADVICE, load_parent

    if values.model.start_from is None:
        return None
    parent = load_parent(paths.PRETRAINED, paths.PRETRAINED_RECORD)
    if parent is None:
        raise UserError(f"{paths.PRETRAINED_RECORD}: names no weights to start from; {ADVICE}")
    return parent


def _write_progress(trainer: "Trainer", sync: bool) -> None:
    """What can be looked at meanwhile: the history, and the metrics that DVC shows."""
    from alexnet.files import write_json, write_rows
    from alexnet.training.history import Epoch, LayerEpoch

    state = trainer.state
    write_rows(paths.HISTORY, Epoch, state.rows, sync)
    write_rows(paths.LAYERS, LayerEpoch, state.layer_rows, sync)
    metrics = state.rows[-1].as_metrics(state.total_seconds + state.epoch_seconds)
    write_json(paths.LIVE_METRICS, metrics)


def _write_results(trainer: "Trainer") -> None:
    """What the complete training results in: history, weights and metrics."""
    from alexnet.files import write_json
    from alexnet.network.weights import save_weights
    from alexnet.progress import format_seconds
    from alexnet.training.filter_history import save_filters

    state = trainer.state
    _write_progress(trainer, sync=True)
    save_weights(paths.WEIGHTS, trainer.model, trainer.metadata)
    save_filters(paths.FILTERS, state.filters)
    write_json(paths.TRAIN_METRICS, asdict(state.rows[-1]) | {"device": str(trainer.device_config)})
    write_json(paths.WARM_START, trainer.warm_start and asdict(trainer.warm_start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    logger.info(
        f"weights in {paths.WEIGHTS}, history in {paths.HISTORY}; "
        f"{format_seconds(state.total_seconds)} of training, peak memory {peak:,.0f} MiB"
    )


def _checkpoints(
    values: config.Params,
    device_config: "DeviceConfig",
    distributed: "DistributedContext",
    num_steps: int = 0,
) -> "Checkpoints":
    """The checkpoints of exactly this run."""
    from alexnet.training.checkpoint import Checkpoints
    from alexnet.training.checkpoint_store import checkpoint_root
    from alexnet.training.unused_checkpoint import explain_unused_checkpoint

    key, root = run_key(values, device_config, distributed), checkpoint_root()
    checkpoints = Checkpoints(root, key, num_steps)
    if not checkpoints.latest_step() and (why := explain_unused_checkpoint(root, key)):
        logger.info(why)
    return checkpoints


def run_key(
    values: config.Params, device_config: "DeviceConfig", distributed: "DistributedContext"
) -> dict[str, Any]:
    """All that decides the bytes of a training: parameters, data, code and hardware."""
    from alexnet.config import EXECUTION_ONLY, ORIGIN_ONLY
    from alexnet.training.checkpoint import hardware_fingerprint
    from alexnet.training.checkpoint_store import file_digests

    library = Path(config.__file__).parent
    modules = [module for room in CODE for module in (library / room).rglob("*.py")]
    models = [paths.PRETRAINED, paths.PRETRAINED_RECORD] if values.model.start_from else []
    names = ("meta.json", "train.safetensors", "val.safetensors")
    return {
        "model": values.model.model_dump(exclude=ORIGIN_ONLY),
        "train": values.train.model_dump(exclude=EXECUTION_ONLY),
        "data": file_digests([paths.PROCESSED / name for name in names], paths.PROCESSED),
        "pretrained": file_digests(models, paths.PRETRAINED.parent),
        "code": file_digests([library / "seeding.py", *modules], library),
        "hardware": hardware_fingerprint(device_config.device, distributed.world_size),
        "dtype": str(device_config.dtype),  # as `auto` has resolved it
        "compiled": device_config.compiles,  # other kernels, which round differently
    }


if __name__ == "__main__":
    run(train, when_stopped="before the first step")
