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
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, TypeAdapter
from pydantic_core import from_json

from alexnet.data.images import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, decode_image
from alexnet.errors import UserError
from alexnet.escape import ClassName
from alexnet.inference.session import open_session

BATCH_SIZE = 64
# In an exported artifact, by precision.
MODEL_FILENAMES = {"fp32": "model.onnx", "fp16": "model.fp16.onnx", "int8": "model.int8.onnx"}

Pixels = Annotated[int, Field(ge=1, le=1 << 13)]
# A path, the content of a file, a Pillow image, or pixels uint8 (H, W) or (H, W, C) of any size.
ImageInput = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]


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
    region: Literal["centre square"] = field(default="centre square", kw_only=True)
    filter: Literal["bicubic"] = field(default="bicubic", kw_only=True)
    antialias: Literal[True] = field(default=True, kw_only=True)
    resize: Pixels
    crop: Pixels  # the centre
    channels: Literal[1, 3]  # grey (ITU-R BT.601) or RGB

    def __post_init__(self) -> None:
        if self.crop > self.resize:
            raise ValueError("crop: is larger than resize")


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

    path: the model file, or the artifact's folder with the file in `precision`. num_threads: of
    one run of the network; 0 for one on each core. max_pixels: of an image file; a larger one is
    not decoded. sha256: what the model file has to have; it is read once, so that the bytes that
    were checked are those that run.

    Raises UserError if the file is missing, is another one, is not ONNX or lacks the metadata of
    an export.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        precision: str = "fp32",
        num_threads: int = 0,
        *,
        max_pixels: int = MAX_IMAGE_PIXELS,
        sha256: str | None = None,
    ) -> None:
        folder = Path(path)
        if precision not in MODEL_FILENAMES:
            raise UserError(f"the precision {precision!r} is none of {', '.join(MODEL_FILENAMES)}")
        model = folder if folder.suffix == ".onnx" else folder / MODEL_FILENAMES[precision]
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
        self.resize, self.crop, self.channels = prepared.resize, prepared.crop, prepared.channels
        self.model, self.max_pixels = model, max_pixels

    def prepare(self, image: ImageInput, name: str = "image") -> NDArray[np.uint8]:
        """An image of any size and mode as uint8 (crop, crop, channels), as in training.

        name: of one that has no path, in messages. Raises UserError that names the image if it
        is missing or is not an image.
        """
        if isinstance(image, str | os.PathLike):
            name = os.fspath(image)
            image = _read(Path(image))
        elif isinstance(image, np.ndarray):
            image = _with_channels(image, name)
        elif isinstance(image, Image.Image) and 0 in image.size:
            raise UserError(f"{name} has no pixels")
        elif not isinstance(image, bytes | Image.Image):
            raise UserError(
                f"{name} is of the type {type(image).__name__}; give a path, the bytes of a file, "
                "a Pillow image or a uint8 array"
            )
        pixels = decode_image(image, name, self.resize, self.channels, self.max_pixels)
        start = (self.resize - self.crop) // 2
        return pixels[start : start + self.crop, start : start + self.crop]

    def infer(self, images: NDArray[np.uint8]) -> Outputs:
        """One run of the network for prepared images uint8 (N, crop, crop, channels).

        Raises UserError for an array of another type or shape.
        """
        shape = (self.crop, self.crop, self.channels)
        if images.dtype != np.uint8 or images.shape[1:] != shape or not len(images):
            raise UserError(
                f"the images are an array {images.dtype} {images.shape}; stack those of prepare: "
                f"uint8 (number, {', '.join(map(str, shape))})"
            )
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
        return self.best(self.run(self.prepare(image)[None])[0], top)

    def classify_batch(
        self, images: Sequence[ImageInput], top: int = 3
    ) -> list[tuple[Prediction, ...]]:
        """The same for several images in one run. Raises UserError for the first unreadable."""
        prepared = [self.prepare(image, f"images[{i}]") for i, image in enumerate(images)]
        return [self.best(row, top) for row in self.run(np.stack(prepared))] if prepared else []

    def classify_many(
        self, images: Iterable[ImageInput], top: int = 3, num_workers: int = 0
    ) -> Iterator[Result]:
        """A result for each of any number of images, in their order; an error is a result, too.

        While a batch runs, `num_workers` threads (0: one for each core) read and decode the next:
        no more than two batches are taken from `images` before their results are.
        """
        if isinstance(images, str | bytes | os.PathLike):
            raise UserError("classify_many takes many images, as a list; classify takes one")
        _check_top(top)
        named = ((_name_of(image, i), image) for i, image in enumerate(images))
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
        _check_top(top)
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


def _read(path: Path) -> bytes:
    """Raises UserError if there is no such file, or it has more bytes than an image."""
    try:
        if not path.is_file():
            raise UserError(f"{path} does not exist, or is not a file; give images")
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise UserError(f"{path} has more than {MAX_IMAGE_BYTES:,} bytes; make it smaller")
        return path.read_bytes()
    except (OSError, UnicodeEncodeError) as error:  # a name may be too long, or no text
        reason = error.strerror if isinstance(error, OSError) else "its name is no text"
        raise UserError(f"{path} cannot be read: {reason}") from None


def _with_channels(pixels: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Pixels uint8 (H, W, C). Raises UserError if that is not what they are."""
    shape = (*pixels.shape, 1) if pixels.ndim == 2 else pixels.shape
    if pixels.dtype != np.uint8 or len(shape) != 3 or 0 in shape or shape[2] > 4:
        raise UserError(
            f"{name} is an array {pixels.dtype} {pixels.shape}; give uint8, height x width, or "
            "height x width x channels with grey, grey and alpha, RGB, or RGB and alpha"
        )
    return pixels.reshape(shape)


def _check_top(top: int) -> None:
    if top < 1:
        raise UserError(f"top is {top}; give 1 or more classes")


def _name_of(image: ImageInput, index: int) -> str:
    return os.fspath(image) if isinstance(image, str | os.PathLike) else f"images[{index}]"


def _available(path: Path) -> str:
    """A hint for a missing file: the precisions that the folder does have."""
    precisions = [name for name, file in MODEL_FILENAMES.items() if (path / file).is_file()]
    if precisions:
        return f"{path} has the precisions {', '.join(precisions)}"
    return "give the path of an exported model"
