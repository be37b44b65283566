"""Classify image files with an exported model: onnxruntime, numpy and Pillow, no PyTorch.

What to do with an image (its size, its colours) and what the classes are called is
read from the model file, not from this code.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from alexnet.data.decode import decode_item
from alexnet.data.listing import Item
from alexnet.errors import UserError


@dataclass(frozen=True)
class Guess:
    """A class and its probability."""

    label: str
    probability: float


class Predictor:
    """An exported model, ready to classify images.

    Raises UserError if the file is missing, is not ONNX or does not say what it takes.
    """

    def __init__(self, path: Path) -> None:
        model = path if path.suffix == ".onnx" else path / "model.onnx"
        if not model.is_file():
            raise UserError(f"{model} does not exist; give the path of an exported model")
        try:
            self.session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no public base class
            raise UserError(f"{model} is not a model that onnxruntime can run: {error}") from None
        properties = self.session.get_modelmeta().custom_metadata_map
        try:
            self.classes: list[str] = json.loads(properties["classes"])
            self.image_size = int(properties["image_size"])
            self.channels = int(properties["channels"])
        except (KeyError, ValueError):
            raise UserError(
                f"{model} does not name its classes and image size; was it exported by `alexnet`?"
            ) from None

    def probabilities(self, path: Path) -> NDArray[np.float32]:
        """(num_classes) for an image file of any size and mode, prepared as for training.

        Raises UserError if the file is missing or is not an image.
        """
        if not path.is_file():
            raise UserError(f"{path} does not exist, or is not a file; give images")
        item = Item(0, str(path), path.read_bytes())
        image = decode_item(item, self.image_size, self.channels)
        (result,) = self.session.run(["probabilities"], {"images": image[None]})
        return np.asarray(result)[0]

    def classify(self, path: Path, top: int) -> list[Guess]:
        """The `top` most probable classes of an image file, best first."""
        probabilities = self.probabilities(path)
        best = np.argsort(-probabilities, kind="stable")[:top]
        return [Guess(self.classes[k], float(probabilities[k])) for k in best]
