"""The history of a training run: one row an epoch, and one an epoch and layer.

It holds only what the seed decides, so that the same run gives the same bytes; wall-clock
times are logged, and lie in a file of their own.
"""

from dataclasses import dataclass


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
