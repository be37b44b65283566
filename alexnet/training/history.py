"""The history of a training run: one row an epoch, and one an epoch and layer.

It holds only what the seed decides, so that the same run gives the same bytes; wall-clock
times are logged, and lie in a file of their own.
"""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from alexnet.errors import UserError
from alexnet.files import atomic_write, require_file


@dataclass(frozen=True)
class Epoch:
    """A row of history.csv. Training figures are of augmented images, while weights change."""

    epoch: int  # from 1
    learning_rate: float  # of the last step
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float


@dataclass(frozen=True)
class LayerEpoch:
    """A row of layers.csv: a layer's weights at the last step of an epoch (`layer_monitor`)."""

    epoch: int  # from 1
    layer: str
    gradient_norm: float  # of the step's mean loss, before clipping
    weight_norm: float  # before the step
    update_ratio: float  # norm of the step's update / weight_norm
    dead_relus: float | None  # fraction of the channels or units; None: no ReLU follows


def write(path: Path, epochs: list[Epoch]) -> None:
    """Write all rows. The file is complete after each epoch, so others can follow it."""
    _write(path, Epoch, epochs)


def write_layers(path: Path, rows: list[LayerEpoch]) -> None:
    """The same for the layers: a row for each of them in each epoch."""
    _write(path, LayerEpoch, rows)


def _write(path: Path, kind: type, rows: Sequence[Any]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(kind)], lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _short(value) for name, value in asdict(row).items()})


def read(path: Path) -> list[Epoch]:
    """Raises UserError if the file is missing or is not a history."""
    with require_file(path).open(newline="") as file:
        try:
            return [
                Epoch(int(row.pop("epoch")), **{name: float(value) for name, value in row.items()})
                for row in csv.DictReader(file)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is not a training history ({error}); train again") from None


def read_layers(path: Path) -> list[LayerEpoch]:
    """Raises UserError if the file is missing or is not such a table."""
    with require_file(path).open(newline="") as file:
        try:
            return [
                LayerEpoch(
                    epoch=int(row["epoch"]),
                    layer=row["layer"],
                    gradient_norm=float(row["gradient_norm"]),
                    weight_norm=float(row["weight_norm"]),
                    update_ratio=float(row["update_ratio"]),
                    dead_relus=float(row["dead_relus"]) if row["dead_relus"] else None,
                )
                for row in csv.DictReader(file)
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is not a table of layers ({error}); train again") from None


def _short(value: float | str | None) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)
