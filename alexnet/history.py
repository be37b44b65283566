"""What each epoch of a training run came to: reports/train/history.csv.

Only what the seed decides stands here, so that the same run gives the same bytes; how
fast it went is printed, and summed up in the stage's metrics.
"""

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from alexnet.errors import UserError
from alexnet.files import existing, replacing


@dataclass(frozen=True)
class Epoch:
    """One row. Training figures are of augmented images, seen while the weights moved."""

    epoch: int  # from 1
    learning_rate: float  # of the last step
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


def write(path: Path, epochs: list[Epoch]) -> None:
    """Write all rows; the file is whole after each epoch, so others can follow it."""
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        for epoch in epochs:
            writer.writerow({name: _short(value) for name, value in asdict(epoch).items()})


def read(path: Path) -> list[Epoch]:
    """Raises UserError if the file is missing or is not a history."""
    with existing(path).open(newline="") as file:
        try:
            return [
                Epoch(int(row.pop("epoch")), **{name: float(value) for name, value in row.items()})
                for row in csv.DictReader(file)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is not a training history ({error}); train again") from None


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"
