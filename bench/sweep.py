"""Which settings train best? By validation accuracy; the final runs alone read the test images.

First a screening (`bench.screening`) of short trainings, then trials of whole length, two seeds
each: the settings of params.yaml, those that the screening found better, and these with one more
change. Then the final runs: the best of the trials with five seeds, on all training images, whole
and short, with their test accuracy.

Screening and trials leave out 3,000 training images for validation, beside the validation split:
5,000 images differ less by chance than 2,000. One training follows the other: on an H200, four
processes at a time took 111 s for a training of 32 epochs each. Alone, an epoch takes 0.18 s.
"""

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from alexnet.data.dataset import load_split
from alexnet.evaluation.evaluate import logits_of
from alexnet.network.model import AlexNet
from alexnet.training.loader import Split, evenly_spaced
from bench.device_setup import Bench, Setup, fit
from bench.parts import Recorder
from bench.screening import (
    Change,
    best_of,
    better_levels,
    design,
    effects,
    one_change_more,
)

SCREENING_EPOCHS = 24
SHORT_EPOCHS = 25
NUM_HELD_OUT = 3_000
NUM_CLEAN = 10_000  # training images, of which the final runs give the accuracy too
MAX_CHANGES = 3  # of the levels that the screening chose, one at a time
FINAL_SEEDS = (0, 1, 2, 3, 4)
SCREENING_END, TRIALS_END = 0.5, 0.75  # as shares of the time


@dataclass(frozen=True)
class Trial:
    """One training. is_final: on all training images, with the test accuracy."""

    name: str
    change: Change
    epochs: int
    is_final: bool = False


def sweep(setup: Setup, recorder: Recorder) -> None:
    """Screening, trials, final runs: each as far as the time allows."""
    bench = Bench(setup)
    start, seconds = time.monotonic(), recorder.seconds_left()
    epochs = setup.epochs(bench.params.train.epochs)
    rows: list[dict[str, Any]] = []

    def run(trials: Sequence[Trial], share: float) -> list[dict[str, Any]]:
        """The rows of those that should end within this share of the time."""
        end, first = start + share * seconds, len(rows)
        for number, trial in enumerate(trials[: 1 if setup.is_rehearsal else None]):
            # As long as the longest of its length so far: what is new has to be compiled.
            took = max((r["seconds"] for r in rows if r["epochs"] == trial.epochs), default=0.0)
            if time.monotonic() + took > end:
                recorder.add(**{f"no time for {trial.name}": len(trials) - number})
                break
            rows.append(train_once(bench, trial))
            recorder.add(runs=rows)
        return [row for row in rows[first:] if row["val_accuracy"] is not None]

    length = setup.epochs(SCREENING_EPOCHS)
    screened = run([Trial("screening", change, length) for change in design()], SCREENING_END)
    found = effects([row["change"] for row in screened], [row["val_accuracy"] for row in screened])
    recorder.add(effects=found)

    best, change = best_of(run(list(trials_after(found, epochs)), TRIALS_END))
    recorder.add(best=best, best_change=change)

    for length in (epochs, setup.epochs(SHORT_EPOCHS)):
        seeds = [change | {"seed": seed} for seed in FINAL_SEEDS]
        run([Trial(f"{best}, final", seed, length, is_final=True) for seed in seeds], 1.0)


def trials_after(found: dict[str, float], epochs: int) -> Iterator[Trial]:
    """Those first that tell most."""
    changes: dict[str, Change] = {"params.yaml": {}, "screened": better_levels(found)}
    changes |= dict(list(one_change_more(found))[:MAX_CHANGES])
    for seed in FINAL_SEEDS[:2]:
        for name, change in changes.items():
            yield Trial(name, change | {"seed": seed}, epochs)


def train_once(bench: Bench, trial: Trial) -> dict[str, Any]:
    """The trial and its results; with an `error` if the loss is not finite, say."""
    start = time.perf_counter()
    row = asdict(trial) | {"val_accuracy": None, "val_loss": None, "train_accuracy": None}
    train, val = (bench.train, bench.val) if trial.is_final else hold_out(bench.train, bench.val)
    changes: dict[str, Any] = {"epochs": trial.epochs} | trial.change
    try:
        run = bench.trainer(train=train, val=val, **changes)
        last = fit(run)[-1]
        row |= {"val_accuracy": last.val_accuracy, "val_loss": last.val_loss}
        row |= {"train_accuracy": last.train_accuracy}
        if trial.is_final:
            test = Split(*load_split(bench.setup.processed, "test"))
            rows = evenly_spaced(len(train), NUM_CLEAN)
            clean = Split(train.images[rows], train.labels[rows])
            row |= {"test_accuracy": accuracy(bench, run.model, test)}
            row |= {"clean_train_accuracy": accuracy(bench, run.model, clean)}
    except Exception as error:
        row["error"] = f"{type(error).__name__}: {error}"[:300]
        gc.collect()
    return row | {"seconds": time.perf_counter() - start}


def hold_out(train: Split, val: Split) -> tuple[Split, Split]:
    """Some of the training images, evenly spread, join those of the validation."""
    held = torch.zeros(len(train), dtype=torch.bool)
    held[:: max(8, len(train) // NUM_HELD_OUT)] = True
    images = torch.cat([val.images, train.images[held]])
    labels = torch.cat([val.labels, train.labels[held]])
    return Split(train.images[~held], train.labels[~held]), Split(images, labels)


def accuracy(bench: Bench, model: AlexNet, split: Split) -> float:
    """Without augmentation, in full precision, as the stage `evaluate` measures it."""
    batch_size = bench.params.evaluate.batch_size
    logits = logits_of(model, bench.metadata, split.images, bench.device, batch_size)
    return (logits.argmax(dim=1) == split.labels).double().mean().item()
