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
from PIL import Image

from alexnet.data.image import open_image
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
        model = path / "model.onnx" if path.is_dir() else path
        if not model.exists():
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

    def probabilities(self, images: list[Image.Image]) -> NDArray[np.float32]:
        """(N, num_classes) for images of any size and mode."""
        from alexnet.data.image import fit_image

        batch = np.stack([fit_image(image, self.image_size, self.channels) for image in images])
        (result,) = self.session.run(["probabilities"], {"images": batch})
        return np.asarray(result)

    def classify(self, path: Path, top: int) -> list[Guess]:
        """The `top` most probable classes of an image file, best first.

        Raises UserError if the file is missing or is not an image.
        """
        (row,) = self.probabilities([open_image(path)])
        best = np.argsort(-row, kind="stable")[:top]
        return [Guess(self.classes[k], float(row[k])) for k in best]
