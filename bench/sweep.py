"""Which settings train best, and how good are those of params.yaml?

"params.yaml" is here the file of --params, which may hold a preset.

`sweep` judges by validation accuracy: first a screening (`bench.screening`), then trials, two seeds
each: the settings of params.yaml, those that the screening found better, and these with one more
change; then the best of them with fewer epochs and with more. It leaves out 3,000 training images
for validation, beside the validation split: 5,000 images differ less by chance than 2,000. `final`
alone reads the test images: five seeds of params.yaml, once the sweep has decided what that is.

All other trainings have params.yaml's length: a shorter one says how fast a network learns, not how
good it gets. One follows the other: on an H200, four processes at a time took 111 s for a training
of 32 epochs each. Alone, an epoch takes less than 0.2 s.
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

NUM_HELD_OUT = 3_000
NUM_CLEAN = 10_000  # training images, of which the final runs give the accuracy too
MAX_CHANGES = 2  # of the levels that the screening chose, one at a time
OTHER_LENGTHS = (0.8, 1.2)  # as shares of params.yaml's epochs
FINAL_SEEDS = (0, 1, 2, 3, 4)
SCREENING_END, TRIALS_END = 0.7, 0.87  # as shares of the sweep's time


@dataclass(frozen=True)
class Trial:
    """One training. is_final: on all training images, with the test accuracy."""

    name: str
    change: Change
    is_final: bool = False


def sweep(setup: Setup, recorder: Recorder) -> None:
    """Screening, trials and other lengths, each as far as the time allows."""
    trainings = Trainings(setup, recorder)
    screening = [Trial("screening", change) for change in design()]
    screened = trainings.run(screening, SCREENING_END)
    found = effects([row["change"] for row in screened], [row["val_accuracy"] for row in screened])
    recorder.add(effects=found)
    best, change = best_of(trainings.run(list(trials_after(found)), TRIALS_END))
    recorder.add(best=best, best_change=change)
    epochs = [round(share * setup.params.train.epochs) for share in OTHER_LENGTHS]
    trainings.run([Trial(best, change | {"seed": 0, "epochs": number}) for number in epochs], 1.0)


def final(setup: Setup, recorder: Recorder) -> None:
    """The settings of params.yaml, five seeds, with the test accuracy."""
    trials = [Trial("params.yaml", {"seed": seed}, is_final=True) for seed in FINAL_SEEDS]
    Trainings(setup, recorder).run(trials, 1.0)


class Trainings:
    """The trainings of a part, one after the other, recorded as they end."""

    def __init__(self, setup: Setup, recorder: Recorder) -> None:
        self.bench, self.recorder = Bench(setup), recorder
        self.start, self.seconds = time.monotonic(), recorder.seconds_left()
        self.rows: list[dict[str, Any]] = []

    def run(self, trials: Sequence[Trial], share: float) -> list[dict[str, Any]]:
        """The rows of those that should end within this share of the time and did not fail."""
        end, first = self.start + share * self.seconds, len(self.rows)
        for number, trial in enumerate(trials[: 1 if self.bench.setup.is_rehearsal else None]):
            # As long as the longest so far: what is new has to be compiled.
            took = max((row["seconds"] for row in self.rows), default=0.0)
            if time.monotonic() + took > end:
                self.recorder.add(**{f"no time for {trial.name}": len(trials) - number})
                break
            self.rows.append(train_once(self.bench, trial))
            self.recorder.add(runs=self.rows)
        return [row for row in self.rows[first:] if row["val_accuracy"] is not None]


def trials_after(found: dict[str, float]) -> Iterator[Trial]:
    """Those first that tell most."""
    changes: dict[str, Change] = {"params.yaml": {}, "screened": better_levels(found)}
    changes |= dict(list(one_change_more(found))[:MAX_CHANGES])
    for name, change in changes.items():
        for seed in FINAL_SEEDS[:2]:
            yield Trial(name, change | {"seed": seed})


def train_once(bench: Bench, trial: Trial) -> dict[str, Any]:
    """The trial and its results; with an `error` if the loss is not finite, say."""
    start = time.perf_counter()
    epochs = bench.setup.epochs(trial.change.get("epochs", bench.params.train.epochs))
    row = asdict(trial) | {"epochs": epochs, "val_accuracy": None, "val_loss": None}
    row |= {"train_accuracy": None}
    train, val = (bench.train, bench.val) if trial.is_final else hold_out(bench.train, bench.val)
    try:
        run = bench.trainer(train=train, val=val, **trial.change | {"epochs": epochs})
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
    """Some of the training images, evenly spread, join those of the validation.

    Others take their place and come twice: the steps stay as many, and their code is the same.
    """
    held = torch.zeros(len(train), dtype=torch.bool)
    held[:: max(8, len(train) // NUM_HELD_OUT)] = True
    kept = (~held).nonzero().flatten()
    rows = torch.cat([kept, kept[: int(held.sum())]])
    images = torch.cat([val.images, train.images[held]])
    labels = torch.cat([val.labels, train.labels[held]])
    return Split(train.images[rows], train.labels[rows]), Split(images, labels)


def accuracy(bench: Bench, model: AlexNet, split: Split) -> float:
    """Without augmentation, in full precision, as the stage `evaluate` measures it."""
    batch_size = bench.params.evaluate.batch_size
    logits = logits_of(model, bench.metadata, split.images, bench.device, batch_size)
    return (logits.argmax(dim=1) == split.labels).double().mean().item()
