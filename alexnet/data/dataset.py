"""The preprocessed data set on disk: meta.json, and a safetensors file for each split.

A split's file is laid out first and then filled through a memory map, so that a split never
has to fit in memory. The format is eight bytes with the header's length, a JSON header, and
the values: https://github.com/huggingface/safetensors#format.

Preprocessing must not load torch, so this module does not import it: safetensors does, where
`load_split` asks for tensors.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open

from alexnet.data.images import Pixels, ResizeMethod
from alexnet.errors import UserError
from alexnet.escape import ClassName
from alexnet.files import (
    Count,
    Sha256,
    Share,
    preallocate,
    read_record,
    require_file,
    write_json,
)

if TYPE_CHECKING:
    from torch import Tensor

Number = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class SkippedImage:
    """An image that was left out, and why: `name` and `reason` make a sentence."""

    name: str
    reason: str


@dataclass(frozen=True)
class Meta:
    """The contents of meta.json.

    resize: how images of other sizes were resized (data.resize).
    mean, std: of pixel / 255, per channel, over the train split alone.
    counts: images of each class, for each split.
    duplicates: for a pair of splits such as `train-test`, the number of images of the
        second that are also in the first, pixel by pixel.
    skipped: the images that do not decode, which data.on_bad_image has left out, by path.
    source, source_sha256: the origin and the digest that data/raw/source.json records.

    Raises ValueError if these do not fit each other.
    """

    name: str
    classes: tuple[ClassName, ...]
    image_size: Count
    channels: Literal[1, 3]
    resize: ResizeMethod
    mean: tuple[Share, ...]
    std: tuple[Annotated[Share, Field(gt=0)], ...]
    counts: dict[str, dict[str, Number]]
    duplicates: dict[str, Number]
    skipped: tuple[SkippedImage, ...]
    source: str
    source_sha256: Sha256

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError("classes: should be two or more different names")
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean, std: should have {self.channels} values, one for each channel")
        for split, numbers in self.counts.items():
            if tuple(numbers) != self.classes:
                raise ValueError(f"counts.{split}: should be of the classes, in their order")

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def title(self) -> str:
        """The name for people: that of the data set, or of the source of a user's own images."""
        if self.name != "folder":
            return self.name
        return self.source.rstrip("/").rsplit("/", 1)[-1].split("?")[0]

    def num_images(self, split: str) -> int:
        return sum(self.counts[split].values())


def save_meta(folder: Path, meta: Meta) -> None:
    write_json(folder / "meta.json", asdict(meta))


def load_meta(folder: Path) -> Meta:
    """Raises UserError if meta.json is missing, or a field of Meta is missing or impossible."""
    return read_record(folder / "meta.json", Meta, "run the stage preprocess again")


def load_split(folder: Path, split: str) -> tuple["Tensor", "Tensor"]:
    """Images uint8 (N, H, W, C) and labels int64 (N) of `train`, `val` or `test`.

    Both are views of the memory-mapped file: a page is read when it is used. Raises
    UserError if the file is missing, damaged, or differs from meta.json.
    """
    meta = load_meta(folder)
    if split not in meta.counts:
        raise UserError(f"no split {split!r} in {folder}; there are {', '.join(meta.counts)}")
    path = require_file(folder / f"{split}.safetensors")
    expected = _layout(meta.num_images(split), meta.image_size, meta.channels)
    try:
        with safe_open(path, framework="pt") as file:
            found = _read_layout(file)
            images, labels = file.get_tensor("images"), file.get_tensor("labels")
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}); preprocess again") from None
    if found != expected:
        raise UserError(f"{path} has {found}, meta.json {expected}; preprocess again")
    if not bool(((labels >= 0) & (labels < meta.num_classes)).all()):
        raise UserError(f"{path} has labels outside 0..{meta.num_classes - 1}; preprocess again")
    return images, labels


def create_split(
    path: Path, num_images: int, size: int, channels: int
) -> tuple[Pixels, NDArray[np.int64]]:
    """Create a split's file and map it: values assigned to the arrays go to the file.

    Returns images uint8 (N, size, size, channels) and labels int64 (N). Raises OSError
    if the disk has no room for all of it.
    """
    shape = (num_images, size, size, channels)
    label_bytes, image_bytes = 8 * num_images, num_images * size * size * channels
    entries = {
        "__metadata__": {"format": "pt"},
        # Labels first: their eight bytes each must start at a multiple of eight.
        "labels": {"dtype": "I64", "shape": [num_images], "data_offsets": [0, label_bytes]},
        "images": {
            "dtype": "U8",
            "shape": shape,
            "data_offsets": [label_bytes, label_bytes + image_bytes],
        },
    }
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    start = 8 + len(header)
    preallocate(path, start + label_bytes + image_bytes)
    with path.open("r+b") as file:
        file.write(len(header).to_bytes(8, "little") + header)
    labels = np.memmap(path, "<i8", "r+", offset=start, shape=(num_images,))
    images = np.memmap(path, np.uint8, "r+", offset=start + label_bytes, shape=shape)
    return images, labels


def check_split(path: Path, size: int, channels: int, counts: list[int]) -> None:
    """Read a written split back with the safetensors library and check it.

    counts: images of each class. Raises UserError if the file differs.
    """
    expected = _layout(sum(counts), size, channels)
    try:
        with safe_open(path, framework="np") as file:
            found, labels = _read_layout(file), file.get_tensor("labels")
    except SafetensorError as error:
        raise UserError(f"{path.name} cannot be read back ({error}); try again") from None
    if found != expected:
        raise UserError(f"{path.name} has {found} where {expected} was written; try again")
    classes = np.bincount(labels, minlength=len(counts)).tolist()
    if classes != counts:
        raise UserError(f"{path.name} has {classes} labels where {counts} was written; try again")


def _layout(num_images: int, size: int, channels: int) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The safetensors dtype and shape of both arrays of a split."""
    return {"images": ("U8", (num_images, size, size, channels)), "labels": ("I64", (num_images,))}


def _read_layout(file: Any) -> dict[str, tuple[str, tuple[int, ...]]]:
    slices = {name: file.get_slice(name) for name in ("images", "labels")}
    return {name: (part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()}
