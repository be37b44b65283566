"""Classify image files with an exported model: onnxruntime, numpy and Pillow, no PyTorch.

The preprocessing of an image and the names of the classes are read from the model file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, TypeAdapter
from pydantic_core import from_json

from alexnet.data.images import MAX_IMAGE_BYTES, decode_image
from alexnet.errors import UserError
from alexnet.escape import ClassName
from alexnet.inference.session import open_session

BATCH_SIZE = 64
# In an exported artifact, by precision.
MODEL_FILENAMES = {"fp32": "model.onnx", "fp16": "model.fp16.onnx", "int8": "model.int8.onnx"}

Pixels = Annotated[int, Field(ge=1, le=1 << 13)]


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


class Predictor:
    """An exported model, ready to classify images.

    path: the model file, or the artifact's folder with the file in `precision`. Raises
    UserError if the file is missing, is not ONNX or lacks the metadata of an export.
    """

    def __init__(self, path: Path, precision: str = "fp32", num_threads: int = 0) -> None:
        model = path if path.suffix == ".onnx" else path / MODEL_FILENAMES[precision]
        if not model.is_file():
            raise UserError(f"{model} does not exist; {_available(path)}")
        try:
            self.session = open_session(model, num_threads)
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

    def prepare(self, path: Path) -> NDArray[np.uint8]:
        """An image file of any size and mode as uint8 (crop, crop, channels), as in training.

        Raises UserError that names the file if it is missing or is not an image.
        """
        if not path.is_file():
            raise UserError(f"{path} does not exist, or is not a file; give images")
        if path.stat().st_size > MAX_IMAGE_BYTES:
            raise UserError(f"{path} has more than {MAX_IMAGE_BYTES:,} bytes; make it smaller")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
        image = decode_image(content, str(path), self.resize, self.channels)
        start = (self.resize - self.crop) // 2
        return image[start : start + self.crop, start : start + self.crop]

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (N, num_classes) for images uint8 (N, crop, crop, channels).

        Raises UserError if one is not finite.
        """
        (result,) = self.session.run(["probabilities"], {"images": images})
        if not np.isfinite(result).all():
            raise UserError("the model gives probabilities that are not finite; get another one")
        return np.asarray(result)

    def classify(self, path: Path, top: int) -> list[Prediction]:
        """The `top` most probable classes of an image file, best first."""
        return self._best(self.run(self.prepare(path)[None])[0], top)

    def classify_all(
        self, paths: Sequence[Path], top: int, advance: Callable[[int], None] = lambda _: None
    ) -> tuple[dict[Path, list[Prediction]], dict[Path, str]]:
        """(predictions, errors): the `top` classes of each readable image, and why others failed.

        `advance` is called with the number of images after each batch.
        """
        predictions: dict[Path, list[Prediction]] = {}
        failed: dict[Path, str] = {}
        for start in range(0, len(paths), BATCH_SIZE):
            batch: dict[Path, NDArray[np.uint8]] = {}
            for path in paths[start : start + BATCH_SIZE]:
                try:
                    batch[path] = self.prepare(path)
                except UserError as error:
                    failed[path] = str(error)
            if batch:
                probabilities = self.run(np.stack(list(batch.values())))
                for path, row in zip(batch, probabilities, strict=True):
                    predictions[path] = self._best(row, top)
            advance(min(BATCH_SIZE, len(paths) - start))
        return predictions, failed

    def _best(self, probabilities: NDArray[np.float32], top: int) -> list[Prediction]:
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [Prediction(self.classes[k], float(probabilities[k])) for k in best]


def _available(path: Path) -> str:
    """A hint for a missing file: the precisions that the folder does have."""
    precisions = [name for name, file in MODEL_FILENAMES.items() if (path / file).is_file()]
    if precisions:
        return f"{path} has the precisions {', '.join(precisions)}"
    return "give the path of an exported model"
