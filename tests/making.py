"""What the tests of training start from: plain settings, a narrow network, and a run."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from alexnet import config
from alexnet.network.model import AlexNetCifar
from alexnet.training.device import DeviceConfig
from alexnet.training.history import Epoch
from alexnet.training.loader import Split
from alexnet.training.trainer import Criterion, Trainer, cross_entropy

CPU = torch.device("cpu")
ON_CPU = DeviceConfig(CPU, torch.float32)

# Written out, so that no test depends on what params.yaml is tuned to: SGD, and nothing
# that is not asked for.
PLAIN: dict[str, Any] = {
    "seed": 0,
    "device": "cpu",
    "precision": "fp32",
    "deterministic": True,
    "collapse_fc1": "auto",
    "epochs": 2,
    "batch_size": 16,
    "learning_rate": 0.05,
    "muon_lr": None,
    "muon_weight_decay": 0.0,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 0.0,
    "clip_norm": None,
    "schedule": "constant",
    "warmup_fraction": 0.0,
    "ema_decay": 0.0,
    "label_smoothing": 0.0,
    "crop_size": None,
    "crop_padding": 0,
    "hflip": "none",
    "scale": 0.0,
    "degrees": 0.0,
    "cutout": 0,
    "color_jitter": 0.0,
    "cutmix_prob": 0.0,
    "cutmix_end": 0.0,
    "pca_lighting_std": 0.0,
    "random_erasing_prob": 0.0,
    "num_processes": "auto",
    "data_location": "auto",
    "checkpoint_seconds": 1e6,
    "on_checkpoint_error": "stop",
    "tensorboard": False,
}

# Everything that training can do to an image, and all that decides how it learns.
EVERYTHING: dict[str, Any] = {
    "clip_norm": 2.0,
    "weight_decay": 0.0005,
    "schedule": "linear",
    "warmup_fraction": 0.2,
    "ema_decay": 0.8,
    "label_smoothing": 0.1,
    "crop_padding": 4,
    "hflip": "random",
    "scale": 0.2,
    "degrees": 10.0,
    "cutout": 8,
    "color_jitter": 0.2,
    "cutmix_prob": 0.5,
    "cutmix_end": 0.9,
    "pca_lighting_std": 0.1,
    "random_erasing_prob": 0.25,
}


def settings(**changes: object) -> config.Train:
    return config.Train(**(PLAIN | changes))


def narrow(num_classes: int = 10, channels: int = 3, dropout: float = 0.0) -> AlexNetCifar:
    """The network for 32x32 images with a 16th of its channels, and its own forward.

    A step takes a few milliseconds.
    """
    with torch.device("meta"):
        model = AlexNetCifar(num_classes, channels, dropout)
    for name, layer in list(model.named_children()):
        if isinstance(layer, nn.Conv2d):
            inputs = channels if name == "conv1" else layer.in_channels // 16
            slim: nn.Module = nn.Conv2d(
                inputs, layer.out_channels // 16, layer.kernel_size, layer.stride, layer.padding
            )
        elif isinstance(layer, nn.Linear):
            outputs = num_classes if name == "fc3" else layer.out_features // 16
            slim = nn.Linear(layer.in_features // 16, outputs)
        else:
            continue
        nn.init.kaiming_normal_(slim.weight, nonlinearity="relu")
        nn.init.zeros_(slim.bias)
        setattr(model, name, slim)
    nn.init.normal_(model.fc3.weight, std=0.01)
    return model


def seeded(seed: int = 0, dropout: float = 0.0, make: Callable = narrow) -> AlexNetCifar:
    """A network of the weights that a seed gives it."""
    torch.manual_seed(seed)
    return make(dropout=dropout)


@dataclass
class Run:
    """A training run that is over, and what was seen on the way."""

    model: AlexNetCifar
    trainer: Trainer | None = None
    rows: list[Epoch] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # of each step, the mean of its images


def trainer_of(model, metadata, digits, train, num_images=76, **options) -> Trainer:
    """On the first digits; validation is on the last 30.

    options: of Trainer; before_step, after_step: called with the trainer and the batch.
    """
    images, labels = digits
    split = Split(images[:num_images], labels[:num_images])
    val = Split(images[-30:], labels[-30:])
    device_config = options.pop("device_config", ON_CPU)
    before, after = options.pop("before_step", ignore), options.pop("after_step", ignore)

    def wrap_step(step_fn):
        def step(batch):
            before(trainer, batch)
            step_fn(batch)
            after(trainer, batch)

        return step

    options = {"wrap_step": wrap_step} | options
    trainer = Trainer(model, metadata, split, val, train, device_config, **options)
    return trainer


def train(model, metadata, digits, train, num_images=76, **options) -> Run:
    """Train to the end on the CPU."""
    run = Run(model)
    with logged(run.lines):
        run.trainer = trainer_of(
            model,
            metadata,
            digits,
            train,
            num_images,
            criterion=recording(train, run.losses),
            **options,
        )
        run.trainer.fit(lambda row, seconds: run.rows.append(row))
    return run


def recording(params: config.Train, losses: list[float]) -> Criterion:
    """The training's criterion, which also writes down each step's mean loss."""

    def criterion(logits, targets):
        loss = cross_entropy(logits, targets, params.label_smoothing)
        losses.append(loss.item() / len(targets))
        return loss

    return criterion


@contextmanager
def logged(lines: list[str]) -> Iterator[None]:
    """Collect the messages of the library."""
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("alexnet")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield
    logger.removeHandler(handler)
    logger.setLevel(level)


def ignore(*arguments):
    """A callback that does nothing."""
