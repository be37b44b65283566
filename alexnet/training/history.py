"""The history of a training run: one row an epoch, and one an epoch and layer.

It holds only what the seed decides, so that the same run gives the same bytes; wall-clock
times are logged, and lie in a file of their own.
"""

from dataclasses import dataclass

from alexnet.files import Count, NotNegative, Share


@dataclass(frozen=True)
class Epoch:
    """A row of history.csv. Training figures are of augmented images, while weights change."""

    epoch: Count
    learning_rate: NotNegative  # of the last step
    train_loss: NotNegative
    train_accuracy: Share
    val_loss: NotNegative
    val_accuracy: Share

    def as_metrics(self, seconds: float) -> dict[str, float]:
        """What DVC's tables show of a training of so many seconds, with the units in the names."""
        return {
            "epoch": self.epoch,
            "val_loss": round(self.val_loss, 4),
            "val_accuracy_percent": round(100 * self.val_accuracy, 2),
            "train_seconds": round(seconds, 1),
        }


@dataclass(frozen=True)
class LayerEpoch:
    """A row of layers.csv: a layer's weights at the last step of an epoch (`layer_monitor`)."""

    epoch: Count
    layer: str
    gradient_norm: NotNegative  # of the step's mean loss, before clipping
    weight_norm: NotNegative  # before the step
    update_ratio: NotNegative  # norm of the step's update / weight_norm
    dead_relus: Share | None  # fraction of the channels or units; None: no ReLU follows
