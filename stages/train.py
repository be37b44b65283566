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
    from alexnet.training.device import Machine
    from alexnet.training.distributed import Processes

PATIENCE_SECONDS = 5.0  # torchrun looks at its processes more often than that


def train(params: ParamsFile = PARAMS) -> None:
    """Train the network; write its weights, its history and its metrics."""
    values = config.load(params)  # first: a wrong value is told before torch is imported

    from alexnet.signals import Interrupted
    from alexnet.training.device import (
        Machine,
        choose_device,
        choose_precision,
        keep_freed_memory,
        make_deterministic,
    )
    from alexnet.training.distributed import (
        choose_number,
        has_lost_another,
        join,
        leave,
        start,
        started_by_torchrun,
    )

    device = choose_device(values.train.device)
    if not started_by_torchrun():
        number = choose_number(values.train.num_processes, device)
        if number > 1:
            return start(number, ["-m", "stages.train", "--params", str(params)])
    make_deterministic(values.train.deterministic)
    keep_freed_memory()
    # The reference operations are written for one type of numbers, that of the weights.
    wanted = "fp32" if values.model.ops == "reference" else values.train.precision
    machine = Machine(device, choose_precision(wanted, device))
    processes = join(device)
    try:
        _train(values, machine, processes)
    except Interrupted as stopped:
        if processes.is_first:
            raise
        sys.exit(128 + stopped.signum)  # the first one speaks for all
    except RuntimeError as error:
        if processes.size == 1 or not has_lost_another(error):
            raise
        # Time for torchrun to see the one that failed first, which knows why, and to end this one.
        time.sleep(PATIENCE_SECONDS)
        raise UserError(f"process {processes.rank} has lost another one: {error}") from None
    finally:
        leave(processes)


def _train(values: config.Params, machine: "Machine", processes: "Processes") -> None:
    """This process's part; the first one writes."""
    import torch

    from alexnet.data.dataset import load_meta, load_split
    from alexnet.evaluation import layer_profile as timing
    from alexnet.files import write_json
    from alexnet.network.reference.network import with_reference_operations
    from alexnet.network.weights import Card, build, save_weights
    from alexnet.training import history
    from alexnet.training.device import explaining_memory
    from alexnet.training.loader import Split
    from alexnet.training.tensorboard import Events
    from alexnet.training.trainer import Trainer

    meta = load_meta(paths.PROCESSED)
    card = Card(values.model.variant, meta.classes, values.crop_size, meta.mean, meta.std)
    torch.manual_seed(values.train.seed)
    model = build(card, values.model.dropout)
    if values.model.ops == "reference":
        model = with_reference_operations(model)
    checkpoints = _checkpoints(values, machine, processes) if processes.is_first else None
    writes_events = processes.is_first and values.train.tensorboard
    events = Events(paths.EVENTS / time.strftime("%Y%m%d-%H%M%S")) if writes_events else None
    rows: list[history.Epoch] = []
    seconds: list[float] = []

    def on_epoch(row: history.Epoch, took: float) -> None:
        if not processes.is_first:
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

    with explaining_memory(values.train.batch_size):
        trainer = Trainer(
            model,
            card,
            Split(*load_split(paths.PROCESSED, "train")),
            Split(*load_split(paths.PROCESSED, "val")),
            values.train,
            machine,
            processes,
            checkpoints,
        )
        trainer.fit(on_epoch)
    if not processes.is_first:
        return
    save_weights(paths.WEIGHTS, model, card)
    times = timing.time_layers(trainer.network, card.image_size, values.train.batch_size, machine)
    timing.write(paths.TIMING, times)
    facts = {"seconds": trainer.total_seconds, "device": str(machine)}
    write_json(paths.TRAIN_METRICS, asdict(rows[-1]) | facts)
    if checkpoints:
        checkpoints.remove()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"weights in {paths.WEIGHTS}, history in {paths.HISTORY}; "
        f"{trainer.total_seconds:,.0f} s of training, peak memory {peak:,.0f} MiB"
    )


def _checkpoints(
    values: config.Params, machine: "Machine", processes: "Processes"
) -> "Checkpoints":
    """The checkpoints of exactly this run: of these values, this data, this code, this machine."""
    from alexnet.config import CARRIES_OUT
    from alexnet.training.checkpoint import Checkpoints, digest_of, machine_facts, scratch_folder

    # All of the library: what happens to be imported differs from one command to another.
    modules = [*Path(config.__file__).parent.rglob("*.py")]
    names = ("meta.json", "train.safetensors", "val.safetensors")
    return Checkpoints(
        scratch_folder(),
        {
            "model": values.model.model_dump(),
            "train": values.train.model_dump(exclude=CARRIES_OUT),
            "data": digest_of([paths.PROCESSED / name for name in names]),
            "code": digest_of(modules),
            "machine": machine_facts(machine.device, processes.size),
            "precision": str(machine.precision),  # which `auto` has chosen
        },
    )


if __name__ == "__main__":
    run(train)
