"""The parameters of a run: one class for each section of params.yaml.

The values live in params.yaml only, so nothing here has a default: a missing key, an
unknown one and a value out of range each fail with an error that names the key. Torch is
not imported, so the error comes in a fraction of a second.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML

from alexnet.config_checks import CHECKS, explain_mistake
from alexnet.errors import UserError
from alexnet.files import read_small_text, shorten

MAX_BYTES = 50_000  # of params.yaml; the project's own has 7,000
MAX_MISTAKES = 10  # in one message

# Every number has both limits: without, a mistake would end in an overflow or in all of the memory.
Fraction = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Split = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Strength = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Pixels = Annotated[int, Field(ge=0, le=4096)]
Side = Annotated[int, Field(ge=1, le=4096)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
SourceName = Annotated[str, Field(max_length=4096)]
Device = Literal["auto", "cpu", "cuda"]
# The classes of alexnet.network.model, which is not imported here: it needs torch.
Variant = Literal["cifar", "imagenet-2012", "one-weird-trick"]


class Section(BaseModel):
    """A part of params.yaml: immutable, of exact types, without further keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Data(Section):
    name: Literal["cifar10", "cifar100", "mnist", "fashion-mnist", "digits", "folder"]
    source: SourceName | Annotated[list[SourceName], Field(max_length=100)] | None
    sha256: Annotated[str, AfterValidator(str.lower)] | None
    image_size: Side
    channels: Literal[1, 3]
    resize: Literal["bicubic", "torchvision"]
    val_fraction: Split
    test_fraction: Split
    split_seed: Seed
    on_bad_image: Literal["error", "skip"]

    @property
    def sources(self) -> list[str]:
        """URLs or paths to try, in order; empty for the data set's published addresses."""
        sources = [self.source] if isinstance(self.source, str) else self.source or []
        is_file = "(?is)^file://(localhost)?(/.*)"
        return [re.sub(is_file, lambda match: unquote(match[2]), name, count=1) for name in sources]

    @property
    def local_sources(self) -> list[Path]:
        """Those that are paths; a leading ~ is the home directory."""
        return [Path(os.path.expanduser(name)) for name in self.sources if "://" not in name]

    @model_validator(mode="after")
    def _source_fits_name(self) -> "Data":
        if not all(name.strip() for name in self.sources):
            raise ValueError("source: is empty; give a URL or a path, or null")
        if any("\0" in name for name in self.sources):
            raise ValueError("source: no path or URL has a zero byte")
        if self.name == "folder" and not self.sources:
            raise ValueError("source: a folder data set needs the path or URL of your images")
        if self.name == "digits" and self.sources:
            raise ValueError("source: digits comes with scikit-learn; set data.source to null")
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction: with test_fraction it leaves no images to train on")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError("sha256: should be null or 64 hexadecimal digits")
        return self


class Model(Section):
    variant: Variant
    dropout: Fraction
    ops: Literal["library", "reference"]
    start_from: SourceName | None
    start_source: SourceName | None
    start_fc3: Literal["by_class", "anew"]

    @model_validator(mode="after")
    def _start_is_a_name(self) -> "Model":
        for key in ("start_from", "start_source"):
            value = getattr(self, key)
            if value is not None and (not value.strip() or "\0" in value):
                raise ValueError(f"{key}: is no path; set it to null for none")
        return self


# Keys of `model` that say where weights come from: what they hold decides the result.
ORIGIN_ONLY = {"start_from", "start_source"}


class Train(Section):
    seed: Seed
    device: Device
    precision: Literal["auto", "bf16", "fp32"]
    deterministic: bool
    collapse_fc1: Literal["auto", "off"]
    init: Literal["default", "whitened"]
    batch_norm: Literal["none", "folded"]
    freeze: Literal["none", "features", "all_but_last"]
    pretrained_lr_scale: Rate
    epochs: Count
    batch_size: Count
    learning_rate: Rate
    muon_lr: Rate | None
    muon_weight_decay: Strength
    momentum: Fraction
    nesterov: bool
    weight_decay: Strength
    clip_norm: Rate | None
    schedule: Literal["constant", "linear", "cosine"]
    warmup_fraction: Fraction
    ema_decay: Fraction
    label_smoothing: Fraction
    augmentation: Literal["random", "none"]
    crop_size: Side | None
    crop_padding: Pixels
    hflip: Literal["none", "random", "alternating"]
    scale: Fraction
    degrees: Annotated[float, Field(ge=0, le=180, allow_inf_nan=False)]
    color_jitter: Fraction
    pca_lighting_std: Strength
    cutout: Pixels
    random_erasing_prob: Share
    cutmix_prob: Share
    cutmix_end: Share
    filter_snapshots: Annotated[int, Field(ge=0, le=1000)]
    num_processes: Literal["auto"] | Count
    data_location: Literal["auto", "device", "host"]
    checkpoint_seconds: Seconds
    on_checkpoint_error: Literal["continue", "stop"]
    tensorboard: bool

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "Train":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: needs a momentum above 0")
        return self

    @model_validator(mode="after")
    def _batch_norm_needs_a_batch(self) -> "Train":
        if self.normalises and self.batch_size == 1:
            raise ValueError(
                "batch_norm: with one image a step there is nothing to normalise over; set it to "
                "none or train.batch_size above 1"
            )
        return self

    @property
    def normalises(self) -> bool:
        """Whether a layer that trains has batch normalisation after it, as all but fc3 do."""
        return self.batch_norm == "folded" and self.freeze != "all_but_last"


# Keys of `train` that do not change the result beyond rounding.
EXECUTION_ONLY = {"num_processes", "data_location", "checkpoint_seconds"}
EXECUTION_ONLY |= {"on_checkpoint_error", "tensorboard"}


class Evaluate(Section):
    device: Device
    batch_size: Count
    views: Literal["none", "mirrored", "shifted", "ten-crop"]
    calibration_bins: Count


class Gate(Section):
    min_accuracy: Share | None
    min_class_recall: Share | None
    max_calibration_error: Share | None


class Repeat(Section):
    seeds: Annotated[list[Seed], Field(max_length=1000)]
    from_nothing: bool


class Plot(Section):
    num_mistakes: Annotated[int, Field(ge=1, le=100)]
    num_samples: Annotated[int, Field(ge=1, le=24)]


class Export(Section):
    opset: Annotated[int, Field(ge=18, le=23)]
    collapse_fc1: Literal["auto", "off"]
    precisions: list[Literal["fp32", "fp16", "int8"]]
    num_calibration_images: Count
    max_accuracy_drop: Share
    max_label_change: Share
    max_logit_difference: Rate
    num_samples: Annotated[int, Field(ge=4, le=100)]

    @model_validator(mode="after")
    def _fp32_is_always_there(self) -> "Export":
        if "fp32" not in self.precisions or len(set(self.precisions)) < len(self.precisions):
            raise ValueError("precisions: fp32 is always exported; name each precision once")
        return self


class Params(Section):
    """Everything in params.yaml."""

    data: Data
    model: Model
    train: Train
    evaluate: Evaluate
    gate: Gate
    repeat: Repeat
    plot: Plot
    export: Export

    @property
    def crop_size(self) -> int:
        """The side in pixels of the network's input."""
        return self.train.crop_size or self.data.image_size

    @model_validator(mode="after")
    def _sections_fit_each_other(self) -> "Params":
        for check in CHECKS:
            check(self)
        return self


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises UserError that names the file, the wrong keys and the values they allow, in a few lines
    whatever the file holds.
    """
    return parse(read(path), path)


def read(path: Path) -> str:
    """The text of params.yaml. Raises UserError if there is none, or another kind of file."""
    try:
        return read_small_text(path, MAX_BYTES)
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; run this in the project's folder or name the file by --params"
        ) from None


def parse(text: str, path: Path) -> Params:
    """Check the text of params.yaml, whose `path` is for the errors. Raises as `load`."""
    values = parse_yaml(text, path)
    if not isinstance(values, dict):
        raise UserError(f"{path} should hold the sections {', '.join(Params.model_fields)}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        lines = [f"{path}: {explain_mistake(detail, Params)}" for detail in details[:MAX_MISTAKES]]
        if len(details) > MAX_MISTAKES:
            lines.append(f"{path}: {len(details) - MAX_MISTAKES:,} more mistakes")
        raise UserError("\n".join(lines)) from None


def parse_yaml(text: str, path: Path) -> Any:
    """What a text in YAML 1.2 says, as DVC reads it: there 1e-4 is a number, not a string.

    Raises UserError, which names the `path`.
    """
    try:
        return YAML(typ="safe", pure=True).load(text)
    # Of a bad date or number, or deep nesting, ruamel raises exceptions of many other types.
    except Exception as error:
        raise UserError(f"{path} is not valid YAML: {shorten(str(error), 400)}") from None
