"""Training runs for tests: plain parameters, a narrow network, a few real images."""

import logging
import resource
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from alexnet import config
from alexnet.network.model import AlexNet, AlexNetCifar
from alexnet.training.device import DeviceConfig
from alexnet.training.history import Epoch
from alexnet.training.loader import Split
from alexnet.training.loss import Criterion, cross_entropy
from alexnet.training.trainer import Trainer
from tests.conftest import METADATA, ROOT, real_digits

CPU = torch.device("cpu")
ON_CPU = DeviceConfig(CPU, torch.float32)

# All that decides how a run learns, so that no test depends on what params.yaml is tuned to:
# plain SGD. The keys of params.yaml are complete; what is not named here only carries out the run.
ZERO = "ema_decay label_smoothing warmup_fraction weight_decay muon_weight_decay"
ZERO += " crop_padding scale degrees cutout color_jitter pca_lighting_std"
ZERO += " cutmix_prob cutmix_end random_erasing_prob"
PLAIN = config.load(ROOT / "params.yaml").train.model_dump() | dict.fromkeys(ZERO.split(), 0)
PLAIN |= {"muon_lr": None, "clip_norm": None, "crop_size": None, "hflip": "none"}
PLAIN |= {"schedule": "constant", "learning_rate": 0.05, "momentum": 0.9, "nesterov": True}
PLAIN |= {"seed": 0, "epochs": 2, "batch_size": 16, "deterministic": True, "collapse_fc1": "auto"}
PLAIN |= {"init": "default", "batch_norm": "none"}
PLAIN |= {"device": "cpu", "precision": "fp32", "checkpoint_seconds": 1e6}

# Each augmentation, and each option of SGD.
EVERYTHING = {"clip_norm": 2.0, "weight_decay": 0.0005, "ema_decay": 0.8, "label_smoothing": 0.1}
EVERYTHING |= {"schedule": "linear", "warmup_fraction": 0.2, "crop_padding": 4, "hflip": "random"}
EVERYTHING |= {"scale": 0.2, "degrees": 10.0, "cutout": 8, "color_jitter": 0.2}
EVERYTHING |= {"cutmix_prob": 0.5, "cutmix_end": 0.9, "pca_lighting_std": 0.1}
EVERYTHING |= {"random_erasing_prob": 0.25}
MUON = {"muon_lr": 0.02, "muon_weight_decay": 0.1}


def settings(**changes: object) -> config.Train:
    return config.Train(**(PLAIN | changes))


def narrow(
    num_classes: int = 10,
    channels: int = 3,
    dropout: float = 0.0,
    variant: Callable[..., AlexNet] = AlexNetCifar,
) -> AlexNet:
    """A network, that for 32x32 images, with a 16th of its channels, and its own forward.

    A step takes a few milliseconds.
    """
    with torch.device("meta"):
        model = variant(num_classes, channels, dropout)
    for name, layer in list(model.named_children()):
        if isinstance(layer, nn.Conv2d):
            inputs = channels if name == "conv1" else layer.in_channels // 16
            form = layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups
            slim: nn.Module = nn.Conv2d(inputs, layer.out_channels // 16, *form)
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
    """A network with the initial weights of a seed."""
    torch.manual_seed(seed)
    return make(dropout=dropout)


@dataclass
class Run:
    """A complete training run, and what it logged."""

    model: AlexNetCifar
    trainer: Trainer | None = None
    rows: list[Epoch] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # of each step, the mean of its images

    @property
    def results(self) -> tuple:
        """(weights, history, layer history, filters): what another run must reproduce exactly."""
        weights = {name: value.numpy().tobytes() for name, value in self.model.state_dict().items()}
        state = self.trainer.state
        return weights, self.rows, state.layer_rows, state.filters.filters.numpy().tobytes()


def trainer_of(
    model, train, num_images=76, data=None, metadata=METADATA, device_config=ON_CPU, **options
) -> Trainer:
    """On the first digits; validation is on the last 30.

    data: (images, labels) instead of the digits. options: of Trainer; before_step, after_step:
    called with the trainer and the batch.
    """
    images, labels = data or real_digits()
    split = Split(images[:num_images], labels[:num_images])
    val = Split(images[-30:], labels[-30:])
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


def train(model, train, num_images=76, **options) -> Run:
    """Train to the end; options as in trainer_of."""
    run = Run(model)
    options = {"criterion": recording(train, run.losses)} | options
    with logged(run.lines):
        run.trainer = trainer_of(model, train, num_images, **options)
        run.trainer.fit(lambda row, seconds: run.rows.append(row))
    return run


def recording(params: config.Train, losses: list[float]) -> Criterion:
    """The trainer's own criterion, which also records each step's mean loss."""

    def criterion(logits, targets):
        loss = cross_entropy(logits, targets, params.label_smoothing)
        losses.append(loss.item() / len(targets))
        return loss

    return criterion


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    """What waits for the GPU raises RuntimeError."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
        try:
            torch.cuda.set_sync_debug_mode("error")
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


@contextmanager
def logged(lines: list[str]) -> Iterator[None]:
    """Collect the messages of the library."""
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = logging.getLogger("alexnet")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def ignore(*arguments):
    """A callback that does nothing."""


def flip_a_bit(path: Path, position: float = 0.5) -> str:
    """At a fraction of the file's length; 0x80 makes a text invalid UTF-8. Returns the path."""
    content = bytearray(path.read_bytes())
    content[int(position * (len(content) - 1))] ^= 0x80
    path.write_bytes(content)
    return str(path)


@contextmanager
def full_disk(limit: int) -> Iterator[None]:
    """Writing more than `limit` bytes to a file fails, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
