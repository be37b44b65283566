"""The parameters of a run: one class for each section of params.yaml.

The values live in params.yaml only, so nothing here has a default: a missing key, an
unknown one and a value out of range each fail with an error that names the key. Torch is
not imported, so the error comes in a fraction of a second.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from alexnet.errors import UserError

Fraction = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Device = Literal["auto", "cpu", "cuda"]
# The classes of alexnet.network.model, which is not imported here: it needs torch.
Variant = Literal["cifar", "imagenet-2012", "one-weird-trick"]


class Section(BaseModel):
    """A part of params.yaml: immutable, of exact types, without further keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Data(Section):
    name: Literal["cifar10", "cifar100", "mnist", "fashion-mnist", "digits", "folder"]
    source: str | list[str] | None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None
    image_size: Count
    channels: Literal[1, 3]
    val_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    split_seed: Seed

    @property
    def sources(self) -> list[str]:
        """URLs or paths to try, in order; empty for the data set's published addresses."""
        if self.source is None:
            return []
        return [self.source] if isinstance(self.source, str) else list(self.source)

    @model_validator(mode="after")
    def _source_fits_name(self) -> "Data":
        if self.name == "folder" and not self.sources:
            raise ValueError(
                "source: a folder data set needs the path or URL of your images in data.source"
            )
        if self.name == "digits" and self.sources:
            raise ValueError("source: digits comes with scikit-learn; set data.source to null")
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction: with test_fraction it leaves no images to train on")
        return self


class Model(Section):
    variant: Variant
    dropout: Fraction
    ops: Literal["library", "reference"]


class Train(Section):
    seed: Seed
    device: Device
    precision: Literal["auto", "bf16", "fp32"]
    deterministic: bool
    collapse_fc1: Literal["auto", "off"]
    init: Literal["default", "whitened"]
    batch_norm: Literal["none", "folded"]
    epochs: Count
    batch_size: Count
    learning_rate: Positive
    muon_lr: Positive | None
    muon_weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    momentum: Fraction
    nesterov: bool
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    clip_norm: Positive | None
    schedule: Literal["constant", "linear", "cosine"]
    warmup_fraction: Fraction
    ema_decay: Fraction
    label_smoothing: Fraction
    crop_size: Count | None
    crop_padding: Annotated[int, Field(ge=0)]
    hflip: Literal["none", "random", "alternating"]
    scale: Fraction
    degrees: Annotated[float, Field(ge=0, le=180)]
    color_jitter: Fraction
    pca_lighting_std: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    cutout: Annotated[int, Field(ge=0)]
    random_erasing_prob: Annotated[float, Field(ge=0, le=1)]
    cutmix_prob: Annotated[float, Field(ge=0, le=1)]
    cutmix_end: Annotated[float, Field(ge=0, le=1)]
    num_processes: Literal["auto"] | Count
    data_location: Literal["auto", "device", "host"]
    checkpoint_seconds: Positive
    on_checkpoint_error: Literal["continue", "stop"]
    tensorboard: bool

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "Train":
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: needs a momentum above 0")
        return self

    @model_validator(mode="after")
    def _batch_norm_needs_a_batch(self) -> "Train":
        if self.batch_norm == "folded" and self.batch_size == 1:
            raise ValueError(
                "batch_norm: with one image a step there is nothing to normalise over; set it to "
                "none or train.batch_size above 1"
            )
        return self


# Keys of `train` that do not change the result beyond rounding.
EXECUTION_ONLY = {
    "num_processes",
    "data_location",
    "checkpoint_seconds",
    "on_checkpoint_error",
    "tensorboard",
}


class Evaluate(Section):
    device: Device
    batch_size: Count
    views: Literal["none", "mirrored", "ten-crop"]
    calibration_bins: Count


class Gate(Section):
    min_accuracy: Annotated[float, Field(ge=0, le=1)]
    min_class_recall: Annotated[float, Field(ge=0, le=1)] | None
    max_calibration_error: Annotated[float, Field(ge=0, le=1)] | None


class Plot(Section):
    num_mistakes: Annotated[int, Field(ge=1, le=100)]
    num_samples: Annotated[int, Field(ge=1, le=24)]


class Export(Section):
    opset: Annotated[int, Field(ge=18, le=23)]
    collapse_fc1: Literal["auto", "off"]
    precisions: list[Literal["fp32", "fp16", "int8"]]
    num_calibration_images: Count
    max_accuracy_drop: Annotated[float, Field(ge=0, le=1)]
    max_label_change: Annotated[float, Field(ge=0, le=1)]
    max_logit_difference: Positive
    num_samples: Annotated[int, Field(ge=1, le=100)]

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
    plot: Plot
    export: Export

    @property
    def crop_size(self) -> int:
        """The side in pixels of the network's input."""
        return self.train.crop_size or self.data.image_size

    @model_validator(mode="after")
    def _augmentation_fits_image(self) -> "Params":
        stored = (self.data.image_size, "data.image_size")
        cropped = (self.train.crop_size, "train.crop_size") if self.train.crop_size else stored
        limits = {"crop_padding": stored, "crop_size": stored, "cutout": cropped}
        for key, (size, given_by) in limits.items():
            value = getattr(self.train, key) or 0
            if value > size or (value == size and key != "crop_size"):
                raise ValueError(
                    f"train.{key}: {value} does not fit images of {size} pixels ({given_by})"
                )
        if self.train.pca_lighting_std and self.data.channels != 3:
            raise ValueError(
                "train.pca_lighting_std: shifts colours; with data.channels 1 it must be 0"
            )
        return self

    @model_validator(mode="after")
    def _reference_computes_in_fp32(self) -> "Params":
        if self.model.ops == "reference" and self.train.precision == "bf16":
            raise ValueError(
                "train.precision: the reference operations (model.ops) compute in float32; "
                "set it to auto or fp32"
            )
        return self


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises UserError that names the file, every wrong key and the values it allows.
    """
    return parse(read(path), path)


def read(path: Path) -> bytes:
    """The content of params.yaml. Raises UserError if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; run this in the project's folder or name the file by --params"
        ) from None


def parse(content: bytes, path: Path) -> Params:
    """Check the content of params.yaml, whose `path` is for the errors. Raises as `load`."""
    try:
        # YAML 1.2, as DVC reads it: there 1e-4 is a number, not a string.
        values = YAML(typ="safe", pure=True).load(content.decode())
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} should hold the sections {', '.join(Params.model_fields)}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = [f"{path}: {_explain(detail)}" for detail in error.errors()]
        raise UserError("\n".join(lines)) from None


def _explain(detail: Any) -> str:
    """One pydantic error as `section.key: message (got value)`."""
    kind = detail["type"]
    # pydantic reports each branch of a union that it tried, as further parts of the key.
    keys = [str(part) for part in detail["loc"]]
    known = [part for part in keys if part.isidentifier() and part not in {"str", "list"}]
    key = ".".join(known)
    if kind == "extra_forbidden":
        section: Any = Params
        for part in known[:-1]:
            section = section.model_fields[part].annotation
        return f"{key}: no such key; there are {', '.join(section.model_fields)}"
    if kind == "missing":
        return f"{key}: is missing"
    if kind == "value_error":  # the validators above name the key themselves
        return f"{key}.{detail['ctx']['error']}".lstrip(".")
    message = detail["msg"].replace("Input should", "should")
    return f"{key}: {message} (got {detail['input']!r})"
