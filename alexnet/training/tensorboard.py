"""Event files for `tensorboard --logdir runs`."""

from dataclasses import asdict
from pathlib import Path

from alexnet.errors import UserError
from alexnet.training.history import Epoch


class Events:
    """One event file, which grows with every epoch."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError if the tensorboard package is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError(
                "train.tensorboard: the package tensorboard is not installed; "
                "pip install '.[tensorboard]', or set it to false"
            ) from None
        self.writer = SummaryWriter(str(folder))

    def add(self, row: Epoch) -> None:
        for name, value in asdict(row).items():
            if name != "epoch":
                self.writer.add_scalar(name, value, row.epoch)
        self.writer.flush()
