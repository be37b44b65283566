"""The samples of an exported artifact: test images as files, and what the model gives for them.

Most are images as they are stored, in PNG. Three need more of the preprocessing that the manifest
states. All of them decode to the same pixels everywhere: none is resized, what is transparent is
wholly so, and a JPEG without subsampled colours is decoded in one way by all decoders of the
libjpeg family.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from alexnet.files import write_json
from alexnet.inference.manifest import expected_outputs_path
from alexnet.inference.predictor import Predictor


def evenly_spaced(num_images: int, num_chosen: int) -> NDArray[np.intp]:
    """Indices of `num_chosen` images, or of all. Images sorted by class give several classes."""
    return np.linspace(0, num_images - 1, min(num_chosen, num_images)).astype(int)


def choose_samples(is_right: NDArray[np.bool_], num_samples: int) -> NDArray[np.intp]:
    """Evenly spaced indices; one that is written as it is stored is right, if any image is.

    is_right: whether the model is right about each image (N).
    """
    chosen = evenly_spaced(len(is_right), num_samples)
    if not is_right[chosen[: max(1, len(chosen) - len(FORMS))]].any():
        chosen[0] = is_right.argmax()
    return chosen


def write_samples(
    folder: Path,
    precisions: list[str],
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
) -> None:
    """Write images (N, H, W, C) as stored, of classes (N), and what each precision gives for them.

    `folder` has the models already: each prepares the files as its receiver will.
    """
    (folder / "samples").mkdir()
    forms = [as_stored] * max(1, len(images) - len(FORMS)) + FORMS
    files = [
        write(Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image), path)
        for index, (write, image) in enumerate(zip(forms, images, strict=False))
        for path in [folder / "samples" / f"{index:02d}"]
    ]
    for precision in precisions:
        predictor = Predictor(folder, precision)
        probabilities = predictor.run(np.stack([predictor.prepare(file) for file in files]))
        expected = [
            {
                "file": file.name,
                "label": predictor.classes[row.argmax()],
                "true_label": predictor.classes[label],
                "probabilities": dict(zip(predictor.classes, row.tolist(), strict=True)),
            }
            for file, label, row in zip(files, labels, probabilities, strict=True)
        ]
        write_json(folder / expected_outputs_path(precision), expected)


def as_stored(image: Image.Image, path: Path) -> Path:
    """A PNG of the stored image."""
    return _save(image, path.with_suffix(".png"))


def turned(image: Image.Image, path: Path) -> Path:
    """A JPEG that lies on its side, with the EXIF orientation that puts it upright."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    lying = image.transpose(Image.Transpose.ROTATE_90)
    return _save(lying, path.with_suffix(".jpg"), quality=100, subsampling=0, exif=exif)


def with_transparent_corner(image: Image.Image, path: Path) -> Path:
    """A PNG of which one corner is transparent, so that it is laid over white."""
    corner = (0, 0, image.width // 4, image.height // 4)
    alpha = Image.new("L", image.size, 255)
    for part in (image, alpha):
        part.paste(0, corner)  # black beneath: whoever drops the alpha sees another image
    image.putalpha(alpha)
    return _save(image, path.with_suffix(".png"))


def wide(image: Image.Image, path: Path) -> Path:
    """A PNG of twice the width, with the stored image in its middle."""
    side = image.width // 2
    pixels = np.asarray(image)
    margins = [(0, 0), (side, side), (0, 0)][: pixels.ndim]
    return _save(Image.fromarray(np.pad(pixels, margins, "symmetric")), path.with_suffix(".png"))


FORMS: list[Callable[[Image.Image, Path], Path]] = [turned, with_transparent_corner, wide]


def _save(image: Image.Image, path: Path, **options: Any) -> Path:
    image.save(path, **options)
    return path
