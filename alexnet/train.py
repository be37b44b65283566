"""Training, in plain sight: `fit` is the run, `train_epoch` is the loop.

The whole split lies on the device as uint8 (CIFAR-10: 138 MB); each step gathers
its batch from there, augments it, and takes one step of stochastic gradient
descent. Randomness is a function of the seed and the step, never of what was drawn
before: step 700 of a run draws the same numbers however one gets there.
"""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from alexnet import config
from alexnet.augment import crop_and_flip, normalise
from alexnet.checkpoint import Card
from alexnet.describe import describe, num_parameters, totals, training_flops
from alexnet.device import autocast, choose_device, choose_precision, describe_device
from alexnet.errors import UserError
from alexnet.history import Epoch
from alexnet.model import AlexNet
from alexnet.optimizer import clip_gradient, set_learning_rate, sgd
from alexnet.progress import progress

# The host asks the device for the loss only every so many steps; it would
# otherwise wait for every single one.
LOOK_EVERY = 20


@dataclass(frozen=True)
class Split:
    """Images uint8 (N, H, W, C) and labels int64 (N) on the device that computes."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Machine:
    """What computes, and in which type."""

    device: torch.device
    precision: torch.dtype


def fit(
    model: AlexNet,
    card: Card,
    train: Split,
    val: Split,
    params: config.Train,
    on_epoch: Callable[[Epoch], None],
    say: Callable[[str], None] = print,
) -> None:
    """Train `model` in place; call `on_epoch` with the figures of each epoch.

    Raises UserError if the batch is larger than the training split, the device or
    precision asked for is not there, or the loss stops being finite.
    """
    if params.batch_size > len(train):
        raise UserError(
            f"train.batch_size: {params.batch_size} is more than the {len(train)} training images"
        )
    device = choose_device(params.device)
    machine = Machine(device, choose_precision(params.precision, device))
    train, val = train.to(device), val.to(device)
    model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = sgd(model, card.image_size, params)
    _introduce(model, card, train, params, machine, say)

    for epoch in range(params.epochs):
        start = time.perf_counter()
        train_loss, train_accuracy = train_epoch(
            model, optimizer, train, card, params, machine, epoch
        )
        seconds = time.perf_counter() - start
        val_loss, val_accuracy = validate(model, val, card, params, machine)
        on_epoch(
            Epoch(
                epoch=epoch + 1,
                learning_rate=optimizer.param_groups[0]["lr"],
                train_loss=train_loss,
                train_accuracy=train_accuracy,
                val_loss=val_loss,
                val_accuracy=val_accuracy,
                seconds=seconds,
                images_per_second=len(train) / seconds,
            )
        )


def train_epoch(
    model: AlexNet,
    optimizer: torch.optim.Optimizer,
    train: Split,
    card: Card,
    params: config.Train,
    machine: Machine,
    epoch: int,
) -> tuple[float, float]:
    """One pass over the training images, in an order of its own: (mean loss, accuracy)."""
    num_steps = steps_per_epoch(train, params)
    order = epoch_order(len(train), params.seed, epoch).to(machine.device)
    meter = Meter(machine.device)
    model.train()
    with progress(f"epoch {epoch + 1}/{params.epochs}", num_steps) as advance:
        for i in range(num_steps):
            step = epoch * num_steps + i
            torch.manual_seed(fold(params.seed, step))
            set_learning_rate(optimizer, step, num_steps * params.epochs, params)

            batch = order[i * params.batch_size : (i + 1) * params.batch_size]
            images = crop_and_flip(train.images[batch], params.crop_padding, params.flip)
            x = normalise(images, card.mean, card.std)
            labels = train.labels[batch]

            with autocast(machine.device, machine.precision):
                logits = model(x)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=params.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            clip_gradient(model, params)
            optimizer.step()

            meter.add(logits, labels, loss)
            if i % LOOK_EVERY == LOOK_EVERY - 1 or i == num_steps - 1:
                meter.check_finite(first_step=epoch * num_steps)
                advance(i % LOOK_EVERY + 1, note=f"loss {meter.loss:.3f}")
    return meter.loss, meter.accuracy


@torch.inference_mode()
def validate(
    model: AlexNet, split: Split, card: Card, params: config.Train, machine: Machine
) -> tuple[float, float]:
    """(mean loss, accuracy) on images as they are, without label smoothing."""
    model.eval()
    meter = Meter(machine.device)
    for start in range(0, len(split), params.batch_size):
        batch = slice(start, start + params.batch_size)
        labels = split.labels[batch]
        with autocast(machine.device, machine.precision):
            logits = model(normalise(split.images[batch], card.mean, card.std))
        meter.add(logits, labels, F.cross_entropy(logits.float(), labels))
    return meter.loss, meter.accuracy


class Meter:
    """Mean loss and accuracy, summed on the device so that no step waits for the host."""

    def __init__(self, device: torch.device) -> None:
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.num_correct = torch.zeros((), dtype=torch.int64, device=device)
        self.num_finite_steps = torch.zeros((), dtype=torch.int64, device=device)
        self.num_images = 0

    def add(self, logits: Tensor, labels: Tensor, loss: Tensor) -> None:
        """logits (N, K) and labels (N) of a batch, and its mean loss."""
        self.loss_sum += loss.detach() * len(labels)
        self.num_correct += (logits.detach().argmax(dim=1) == labels).sum()
        self.num_images += len(labels)
        # Once a loss is not finite the sum stays so: this counts the steps before it.
        self.num_finite_steps += torch.isfinite(self.loss_sum)

    @property
    def loss(self) -> float:
        return self.loss_sum.item() / self.num_images

    @property
    def accuracy(self) -> float:
        return self.num_correct.item() / self.num_images

    def check_finite(self, first_step: int) -> None:
        """Raises UserError that names the step at which the loss stopped being finite."""
        if not math.isfinite(self.loss_sum.item()):
            step = first_step + int(self.num_finite_steps.item())
            raise UserError(
                f"the loss is not finite at step {step}: training has diverged and nothing was "
                "saved; lower train.learning_rate or raise train.warmup_fraction"
            )


def steps_per_epoch(train: Split, params: config.Train) -> int:
    """The last step of an epoch takes what is left, so that each image is seen once."""
    return math.ceil(len(train) / params.batch_size)


def epoch_order(num_images: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in an epoch: a permutation, int64 (num_images)."""
    generator = torch.Generator().manual_seed(fold(seed, -1 - epoch))
    return torch.randperm(num_images, generator=generator)


def fold(seed: int, number: int) -> int:
    """One seed for each (seed, number): steps count up from 0, epochs down from -1."""
    digest = hashlib.blake2b(f"{seed},{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _introduce(
    model: AlexNet,
    card: Card,
    train: Split,
    params: config.Train,
    machine: Machine,
    say: Callable[[str], None],
) -> None:
    """Say what is about to run, and the loss before the first step.

    A fresh network knows nothing, so its loss should be near log(num_classes);
    a larger one means an initialisation that has to be unlearned first.
    """
    layers = describe(model, card.image_size)
    batch = epoch_order(len(train), params.seed, epoch=0)[: params.batch_size]
    first = Split(train.images[batch], train.labels[batch])
    initial_loss, _ = validate(model, first, card, params, machine)
    say(
        f"device {describe_device(machine.device)}, {str(machine.precision).removeprefix('torch.')}"
    )
    say(
        f"variant {card.variant}: {num_parameters(model):,} parameters, "
        f"{totals(layers)['flops'] / 1e6:.2f} MFLOP an image forward, "
        f"{training_flops(layers) / 1e6:.2f} forward and backward"
    )
    say(
        f"{len(train):,} images, {params.batch_size} a step, "
        f"{steps_per_epoch(train, params)} steps an epoch, {params.epochs} epochs"
    )
    say(
        f"initial loss {initial_loss:.3f}, log({len(card.classes)}) = "
        f"{math.log(len(card.classes)):.3f}"
    )
