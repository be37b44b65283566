"""Trainings with one setting changed, by validation accuracy. The test images are not read."""

import gc
import time
from collections.abc import Iterator
from typing import Any

from alexnet import config
from bench.device_setup import Bench, Setup, fit
from bench.parts import Recorder

SEEDS = (0, 1, 2, 3, 4)
BATCHES = {1024: (1.0, 1.5, 2.0), 2048: (1.5, 2.0, 3.0)}  # factors of both rates
FACTORS: dict[str, tuple[float, ...]] = {"muon_lr": (0.5, 2.0, 3.0), "learning_rate": (0.5, 2.0)}
FACTORS |= {"muon_weight_decay": (0.0, 3.0), "weight_decay": (0.2, 3.0)}
OTHERS: dict[str, tuple[Any, ...]] = {
    "epochs": (30, 70, 100),
    "ema_decay": (0.0, 0.98, 0.998),
    "cutmix_prob": (0.0, 1.0),
    "cutout": (0, 12),
    "dropout": (0.0, 0.2),  # the model's
    "color_jitter": (0.0, 0.4),
    "scale": (0.0, 0.3),
    "degrees": (0.0, 15.0),
    "crop_padding": (2, 6),
    "label_smoothing": (0.0, 0.2),
    "warmup_fraction": (0.05, 0.2),
}


def settings(params: config.Train) -> Iterator[dict[str, Any]]:
    """The changes of each training, those first that tell most."""
    yield from ({"seed": seed} for seed in SEEDS)
    for batch_size, factors in BATCHES.items():
        for factor in factors:
            rates = {"learning_rate": params.learning_rate * factor}
            if params.muon_lr:
                rates["muon_lr"] = params.muon_lr * factor
            yield {"batch_size": batch_size, **rates}
    for name, multiples in FACTORS.items():
        if value := getattr(params, name):
            yield from ({name: value * factor} for factor in multiples)
    for name, values in OTHERS.items():
        yield from ({name: value} for value in values if value != getattr(params, name, None))


def sweep(setup: Setup, recorder: Recorder) -> None:
    """As many of the settings as there is time for, in one process."""
    bench = Bench(setup)
    wanted = list(settings(bench.params.train))
    if setup.is_rehearsal:
        wanted = [{"seed": 0}, {"seed": 1}, {"epochs": 2}]
    runs: list[dict[str, Any]] = []
    seconds_per_epoch = 0.0
    for number, change in enumerate(wanted):
        epochs = change.get("epochs") or setup.epochs(bench.params.train.epochs)
        if recorder.seconds_left() < 1.2 * seconds_per_epoch * epochs:
            recorder.add(no_time_for=wanted[number:])
            break
        start = time.perf_counter()
        row: dict[str, Any] = {"change": change}
        try:
            changes: dict[str, Any] = {"epochs": epochs} | change
            last = fit(bench.trainer(**changes))[-1]
            row |= {"val_accuracy": last.val_accuracy, "val_loss": last.val_loss}
            row |= {"train_accuracy": last.train_accuracy}
        except Exception as error:  # such as a loss that is not finite
            row["error"] = f"{type(error).__name__}: {error}"[:300]
            gc.collect()
        row["seconds"] = time.perf_counter() - start
        # Without the seconds that the first of them took to compile.
        seconds_per_epoch = min(seconds_per_epoch or 1e9, row["seconds"] / epochs)
        runs.append(row)
        recorder.add(runs=runs)
