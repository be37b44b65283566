"""conv1's filters at some epochs of a run, kept so that their training can be watched."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from alexnet.errors import UserError
from alexnet.files import atomic_write, require_file
from alexnet.network.model import AlexNet

WEIGHT = "conv1.weight"


class FilterHistory:
    """conv1's weights before training and after some of the epochs, in float16.

    It is empty for no snapshots, and where conv1 is frozen.
    """

    def __init__(self, model: AlexNet, num_snapshots: int, num_epochs: int) -> None:
        """The first snapshot is of `model` as it is."""
        weight = model.conv1.weight
        number = num_snapshots if weight.requires_grad else 0
        self.epochs = snapshot_epochs(number, num_epochs)  # 0: before the first step
        self.filters = weight.new_zeros((len(self.epochs), *weight.shape), dtype=torch.float16)
        self.record(0, {WEIGHT: weight.detach()})

    def record(self, epoch: int, weights: dict[str, Tensor]) -> None:
        """Keep the filters of a state dict, if they are to be kept after this epoch."""
        if epoch in self.epochs:
            self.filters[self.epochs.index(epoch)] = weights[WEIGHT]

    def state_dict(self) -> dict[str, Tensor]:
        return {"filters": self.filters} if self.epochs else {}


def snapshot_epochs(number: int, num_epochs: int) -> list[int]:
    """About `number` epochs from 0 to the last, closer at first, where filters change most.

    The distances grow linearly: epoch k is at (k / (number - 1)) ** 2 of the run.
    """
    if number == 0:
        return []
    last = max(1, number - 1)
    return sorted({round(num_epochs * (k / last) ** 2) for k in range(number)} | {0, num_epochs})


def save_filters(path: Path, history: FilterHistory) -> None:
    """Write the snapshots. Raises OSError that names the file if it cannot be written."""
    tensors = {"epochs": torch.tensor(history.epochs, dtype=torch.int64)}
    tensors |= {"filters": history.filters.cpu().contiguous()}
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, temporary)
        except SafetensorError as error:  # the library's name for a full disk
            raise OSError(f"{path} could not be written: {error}") from None


def load_filters(path: Path) -> tuple[list[int], Tensor]:
    """The epochs of the snapshots, and their filters: float16 (number, out, in, k, k).

    Raises UserError for a file that `save_filters` did not write.
    """
    try:
        tensors = load_file(require_file(path))
        epochs, filters = tensors["epochs"], tensors["filters"]
        if epochs.shape != filters.shape[:1] or filters.dim() != 5 or not filters.isfinite().all():
            raise ValueError
    except (SafetensorError, KeyError, ValueError):
        raise UserError(f"{path} is damaged; train again: `dvc repro --force train`") from None
    return epochs.tolist(), filters
