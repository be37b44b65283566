"""Classify image files with an exported model: onnxruntime, numpy and Pillow, no PyTorch.

What to do with an image (its size, its middle, its colours) and what the classes are
called is read from the model file, not from this code.
"""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from alexnet.data.images import MAX_IMAGE_BYTES, decode_image
from alexnet.errors import UserError

BATCH_SIZE = 64
# What a folder that was handed over can hold: the model's file by its precision.
MODEL_FILENAMES = {"fp32": "model.onnx", "fp16": "model.fp16.onnx", "int8": "model.int8.onnx"}


@dataclass(frozen=True)
class Prediction:
    """A class and its probability."""

    label: str
    probability: float


class Predictor:
    """An exported model, ready to classify images.

    path: its file, or its folder, of which the one in `precision` is taken. Raises
    UserError if the file is missing, is not ONNX or does not say what it takes.
    """

    def __init__(self, path: Path, precision: str = "fp32") -> None:
        model = path if path.suffix == ".onnx" else path / MODEL_FILENAMES[precision]
        if not model.is_file():
            raise UserError(f"{model} does not exist; {_what_else(path)}")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(
                model, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise UserError(f"{model} is not a model that onnxruntime can run: {error}") from None
        properties = self.session.get_modelmeta().custom_metadata_map
        try:
            self.variant: str = properties["variant"]
            self.precision: str = properties["precision"]
            self.classes: list[str] = json.loads(properties["classes"])
            self.preprocessing: dict[str, Any] = json.loads(properties["preprocessing"])
            self.provenance: dict[str, Any] = json.loads(properties["provenance"])
            self.resize = int(self.preprocessing["resize"])
            self.crop = int(self.preprocessing["crop"])
            self.channels = int(self.preprocessing["channels"])
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{model} does not name its classes and image size; was it exported by `alexnet`?"
            ) from None

    def prepare(self, path: Path) -> NDArray[np.uint8]:
        """(crop, crop, channels) of an image file of any size and mode, as for training.

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
        with warnings.catch_warnings():
            # Of an image that could be meant to fill the memory: Pillow refuses those that
            # are twice as large, and what it only warns of fits.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = decode_image(content, str(path), self.resize, self.channels)
        start = (self.resize - self.crop) // 2
        return image[start : start + self.crop, start : start + self.crop]

    def run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities (N, num_classes) for images uint8 (N, crop, crop, channels)."""
        (result,) = self.session.run(["probabilities"], {"images": images})
        return np.asarray(result)

    def classify(self, path: Path, top: int) -> list[Prediction]:
        """The `top` most probable classes of an image file, best first."""
        return self._best(self.run(self.prepare(path)[None])[0], top)

    def classify_all(
        self, paths: Sequence[Path], top: int, advance: Callable[[int], None] = lambda _: None
    ) -> tuple[dict[Path, list[Prediction]], dict[Path, str]]:
        """The classes of every image that can be read, and what is wrong with the others."""
        guesses: dict[Path, list[Prediction]] = {}
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
                    guesses[path] = self._best(row, top)
            advance(min(BATCH_SIZE, len(paths) - start))
        return guesses, failed

    def _best(self, probabilities: NDArray[np.float32], top: int) -> list[Prediction]:
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [Prediction(self.classes[k], float(probabilities[k])) for k in best]


def _what_else(path: Path) -> str:
    there = [precision for precision, name in MODEL_FILENAMES.items() if (path / name).is_file()]
    if there:
        return f"of precisions {path} holds {', '.join(there)}"
    return "give the path of an exported model"
