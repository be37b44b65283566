"""Classify images with an exported model: onnxruntime, numpy and Pillow, no PyTorch.

The preprocessing of an image and the names of the classes are read from the model file.
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter
from pydantic_core import from_json

from alexnet.data.images import MAX_IMAGE_PIXELS, ResizeMethod, decode_image
from alexnet.errors import UserError
from alexnet.escape import ClassName
from alexnet.inference.arguments import (
    ImageInput,
    check_many,
    check_prepared,
    check_whole,
    name_of,
    read_input,
)
from alexnet.inference.session import open_session

BATCH_SIZE = 64
# In an exported artifact, by precision.
REJECTION = "NOT_EXPORTED.txt"  # in place of an artifact, if the model did not pass the gate
MODEL_FILENAMES = {"fp32": "model.onnx", "fp16": "model.fp16.onnx", "int8": "model.int8.onnx"}

Pixels = Annotated[int, Field(ge=1, le=1 << 13)]
Region = Literal[
    "centre square",
    "centre square of the image resized to a short side of `resize` pixels, the long side rounded "
    "down; the square's offset rounded half to even",
]
Filter = Literal["bicubic", "bilinear"]
# How the manifest states each value of data.resize.
STATED: dict[ResizeMethod, tuple[Region, Filter]] = {
    "bicubic": (get_args(Region)[0], "bicubic"),
    "torchvision": (get_args(Region)[1], "bilinear"),
}
# Threads of one run: more than there are cores are slower, and thousands take minutes to start.
MAX_THREADS = max(64, os.cpu_count() or 1)


@dataclass(frozen=True)
class Preprocessing:
    """Every step from an image file to the network's input, in this order, as `decode_image` does.

    The manifest states them in these words. What has a default is so in every artifact.
    """

    frame: Literal["first"] = field(default="first", kw_only=True)
    bit_depth: Literal["8; 16-bit grey divided by 257, rounded"] = field(
        default="8; 16-bit grey divided by 257, rounded", kw_only=True
    )
    background: Literal["white"] = field(default="white", kw_only=True)  # of transparent parts
    orientation: Literal["EXIF"] = field(default="EXIF", kw_only=True)
    region: Region = field(default="centre square", kw_only=True)
    filter: Filter = field(default="bicubic", kw_only=True)
    antialias: Literal[True] = field(default=True, kw_only=True)
    resize: Pixels
    crop: Pixels  # the centre
    channels: Literal[1, 3]  # grey (ITU-R BT.601) or RGB

    def __post_init__(self) -> None:
        if self.crop > self.resize:
            raise ValueError("crop: is larger than resize")
        if (self.region, self.filter) not in STATED.values():
            raise ValueError("filter: does not go with region")

    @property
    def method(self) -> ResizeMethod:
        """data.resize of the training."""
        return next(k for k, stated in STATED.items() if stated == (self.region, self.filter))


@dataclass(frozen=True)
class Prediction:
    """A class and its probability."""

    label: str
    probability: float


@dataclass(frozen=True)
class Result:
    """One of many images: its most probable classes, best first, or why it has none."""

    name: str  # its path; images[3] for one without
    predictions: tuple[Prediction, ...] = ()
    error: str | None = None  # "cat/7.jpg is empty; get it again"


class Outputs(NamedTuple):
    """What the network gives for N images: float32 (N, num_classes) each, as it is."""

    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]


class Predictor:
    """An exported model, ready to classify images. Threads may share one: nothing changes in it.

    path: the model file, or the artifact's folder with the file in `precision` (fp32 unless it is
    given). num_threads: of one run of the network; 0 for one on each core. max_pixels: of an image
    file; a larger one is not decoded. sha256: what the model file has to have; it is read once, so
    that the bytes that were checked are those that run.

    Raises UserError if the file is missing, is another one, is not ONNX or lacks the metadata of
    an export.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        precision: str | None = None,
        num_threads: int = 0,
        *,
        max_pixels: int = MAX_IMAGE_PIXELS,
        sha256: str | None = None,
    ) -> None:
        if not os.fspath(path):
            raise UserError("the path of the model is empty")
        if precision not in (None, *MODEL_FILENAMES):
            raise UserError(f"the precision {precision!r} is none of {', '.join(MODEL_FILENAMES)}")
        check_whole("num_threads", num_threads, 0, MAX_THREADS)
        folder = Path(path)
        is_model = folder.suffix == ".onnx"
        model = folder if is_model else folder / MODEL_FILENAMES[precision or "fp32"]
        if not model.is_file():
            missing = model if folder.exists() else folder
            raise UserError(f"{missing} does not exist; {_available(folder)}")
        content: Path | bytes = model
        if sha256:
            content = model.read_bytes()
            if hashlib.sha256(content).hexdigest() != sha256:
                raise UserError(f"{model} does not have the SHA-256 {sha256}; it was replaced")
        try:
            self.session = open_session(content, num_threads)
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise UserError(f"{model} is not a model that onnxruntime can run: {error}") from None
        properties = self.session.get_modelmeta().custom_metadata_map
        try:
            self.variant: str = properties["variant"]
            self.precision: str = properties["precision"]
            self.classes = TypeAdapter(list[ClassName]).validate_json(properties["classes"])
            self.preprocessing: dict[str, Any] = from_json(properties["preprocessing"])
            self.provenance: dict[str, Any] = from_json(properties["provenance"])
            prepared = TypeAdapter(Preprocessing).validate_python(self.preprocessing)
            outputs = {output.name: output.shape for output in self.session.get_outputs()}
            if outputs["probabilities"][1:] != [len(self.classes)]:
                raise ValueError("the classes do not fit the probabilities")
        except (KeyError, ValueError):
            raise UserError(
                f"{model} has no valid metadata of classes and preprocessing; was it exported by "
                "this project?"
            ) from None
        if is_model and precision not in (None, self.precision):
            raise UserError(f"{model} is in {self.precision}, not in {precision}; give its folder")
        self.resize, self.crop, self.channels = prepared.resize, prepared.crop, prepared.channels
        self.method, self.model, self.max_pixels = prepared.method, model, max_pixels

    def prepare(self, image: ImageInput, name: str = "image") -> NDArray[np.uint8]:
        """An image of any size and mode as uint8 (crop, crop, channels), as in training.

        name: of one that has no path, in messages. Raises UserError that names the image if it
        is missing or is not an image.
        """
        content, name = read_input(image, name)
        pixels = decode_image(
            content, name, self.resize, self.channels, self.max_pixels, self.method
        )
        start = (self.resize - self.crop) // 2
        return pixels[start : start + self.crop, start : start + self.crop]

    def infer(self, images: NDArray[np.uint8]) -> Outputs:
        """One run of the network for prepared images uint8 (N, crop, crop, channels).

        Raises UserError for an array of another type or shape.
        """
        check_prepared(images, (self.crop, self.crop, self.channels))
        return Outputs(*self.session.run(Outputs._fields, {"images": images}))

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (N, num_classes) for prepared images uint8 (N, crop, crop, channels).

        Raises UserError as `infer` does, and if one of them is not finite.
        """
        probabilities = self.infer(images).probabilities
        self.check_finite(probabilities)
        return probabilities

    def classify(self, image: ImageInput, top: int = 3) -> tuple[Prediction, ...]:
        """The `top` most probable classes of an image, best first. Raises UserError."""
        check_whole("top", top, 1)
        return self.best(self.run(self.prepare(image)[None])[0], top)

    def classify_batch(
        self, images: Sequence[ImageInput], top: int = 3
    ) -> list[tuple[Prediction, ...]]:
        """The same for several images in one run. Raises UserError for the first unreadable."""
        check_many(images)
        check_whole("top", top, 1)
        prepared = [self.prepare(image, f"images[{i}]") for i, image in enumerate(images)]
        return [self.best(row, top) for row in self.run(np.stack(prepared))] if prepared else []

    def classify_many(
        self, images: Iterable[ImageInput], top: int = 3, num_workers: int = 0
    ) -> Iterator[Result]:
        """A result for each of any number of images, in their order; an error is a result, too.

        While a batch runs, `num_workers` threads (0: one for each core) read and decode the next:
        no more than two batches are taken from `images` before their results are.
        """
        check_many(images)
        check_whole("top", top, 1)
        check_whole("num_workers", num_workers, 0)
        named = ((name_of(image, i), image) for i, image in enumerate(images))
        pool = ThreadPoolExecutor(num_workers or len(os.sched_getaffinity(0)))
        pending: deque[list[tuple[str, Future[NDArray[np.uint8]]]]] = deque()
        try:
            while True:
                while len(pending) < 2 and (batch := list(islice(named, BATCH_SIZE))):
                    pending.append([(n, pool.submit(self.prepare, each, n)) for n, each in batch])
                if not pending:
                    return
                yield from self._results(pending.popleft(), top)
        finally:
            pool.shutdown(cancel_futures=True)

    def _results(
        self, batch: list[tuple[str, Future[NDArray[np.uint8]]]], top: int
    ) -> Iterator[Result]:
        prepared: list[NDArray[np.uint8]] = []
        errors: dict[int, str] = {}
        for index, (_, future) in enumerate(batch):
            try:
                prepared.append(future.result())
            except UserError as error:
                errors[index] = str(error)
        rows = iter(self.infer(np.stack(prepared)).probabilities if prepared else ())
        for index, (name, _) in enumerate(batch):
            if index not in errors:
                try:
                    yield Result(name, self.best(next(rows), top))
                    continue
                except UserError as error:
                    errors[index] = f"{name}: {error}"
            yield Result(name, error=errors[index])

    def best(self, probabilities: NDArray[np.float32], top: int) -> tuple[Prediction, ...]:
        """The `top` classes of one row of `run`, best first. Raises UserError as `run` does."""
        self.check_finite(probabilities)
        indices = np.argsort(-probabilities, kind="stable")[:top]
        return tuple(Prediction(self.classes[k], float(probabilities[k])) for k in indices)

    def check_finite(self, outputs: NDArray[np.float32]) -> None:
        """Raises UserError unless all outputs are numbers: NaN would pass for a low probability."""
        if not np.isfinite(outputs).all():
            raise UserError(
                f"{self.model} gives values that are no numbers (NaN or infinity); its weights are "
                "damaged, or too large for its precision"
            )


def _available(path: Path) -> str:
    """A hint for a missing file: the precisions that the folder does have, or why it has none."""
    if (path / REJECTION).is_file():
        return f"the model did not pass the gate ({path / REJECTION})"
    precisions = [name for name, file in MODEL_FILENAMES.items() if (path / file).is_file()]
    if precisions:
        return f"{path} has the precisions {', '.join(precisions)}"
    return "give the path of an exported model"
