"""The spread over seeds: the results of trainings that differ in nothing but their seed."""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from alexnet.files import NotNegative, Share, read_record
from alexnet.training.history import Epoch


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """One training and its result. Accuracies of training and validation: of the last epoch."""

    seed: Annotated[int, Field(ge=0)]
    train_accuracy: Share  # of augmented images, while the weights changed
    val_accuracy: Share
    test_accuracy: Share
    test_loss: NotNegative
    test_accuracy_mirrored: Share | None = None  # evaluate.views
    test_accuracy_shifted: Share | None = None
    test_accuracy_ten_crop: Share | None = None

    def as_dict(self) -> dict[str, Any]:
        """As in the file: without what was not measured."""
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class TrainingResult:
    """One training: its result and its history."""

    result: SeedResult
    history: Annotated[tuple[Epoch, ...], Field(min_length=1)]

    def as_dict(self) -> dict[str, Any]:
        """As in a file."""
        history = [asdict(row) for row in self.history]
        return {"result": self.result.as_dict(), "history": history}


@dataclass(frozen=True)
class Repeats:
    """The contents of reports/repeat.json: the run of train.seed, then those of repeat.seeds.

    from_nothing: the training of train.seed without the weights to start from
    (repeat.from_nothing). It is not one of the runs, and in no mean.
    """

    runs: Annotated[tuple[SeedResult, ...], Field(min_length=1)]
    from_nothing: TrainingResult | None = None

    def mean(self, key: str) -> float:
        """Of a field of SeedResult over all runs."""
        return statistics.fmean(self._values(key))

    def std(self, key: str) -> float | None:
        """The sample standard deviation (n - 1) of a field of SeedResult; None of a single run."""
        return statistics.stdev(self._values(key)) if len(self.runs) > 1 else None

    def as_dict(self) -> dict[str, Any]:
        """As in the file: what is computed comes first, for people and `dvc metrics show`."""
        keys = [key for key in self.runs[0].as_dict() if key != "seed"]
        return {
            "num_runs": len(self.runs),
            "mean": {key: self.mean(key) for key in keys},
            "std": {key: self.std(key) for key in keys},
            "runs": [run.as_dict() for run in self.runs],
            **({"from_nothing": self.from_nothing.as_dict()} if self.from_nothing else {}),
        }

    def _values(self, key: str) -> list[float]:
        return [getattr(run, key) for run in self.runs]


def seed_result(seed: int, last_epoch: Epoch, metrics: Mapping[str, Any]) -> SeedResult:
    """The result of a seed. metrics: of the test images, as `compute_metrics` gives them."""
    test = {
        f"test_{key}": value
        for key, value in metrics.items()
        if key == "loss" or key.startswith("accuracy")
    }
    return SeedResult(
        seed=seed,
        train_accuracy=last_epoch.train_accuracy,
        val_accuracy=last_epoch.val_accuracy,
        **test,
    )


def read_repeats(path: Path) -> Repeats:
    """Raises UserError if the file is missing, or a result is missing or impossible."""
    return read_record(path, Repeats, "run the stage repeat again")
