"""Small data sets of real images (scikit-learn's digits), as archives and folders."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from alexnet import config


def make_config(**changes: Any) -> config.Data:
    values: dict[str, Any] = {
        "name": "folder",
        "source": "somewhere",
        "sha256": None,
        "image_size": 8,
        "channels": 1,
        "val_fraction": 0.25,
        "test_fraction": 0.25,
        "split_seed": 0,
    }
    return config.Data(**(values | changes))


def digit(index: int) -> np.ndarray:
    """uint8 (8, 8), another one for each index."""
    return np.rint(load_digits().images[index] * (255 / 16)).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def make_files(
    num_each: int = 8, splits: tuple[str, ...] = (), classes: tuple[str, ...] = ("cat", "dog")
) -> dict[str, bytes]:
    """Path -> PNG; every image is another digit."""
    prefixes = [f"{split}/" for split in splits] or [""]
    names = [f"{p}{c}/{i:03}.png" for p in prefixes for c in classes for i in range(num_each)]
    images = load_digits().images
    return {
        name: png(np.rint(images[row] * (255 / 16)).astype(np.uint8))
        for row, name in enumerate(names)
    }


def write_folder(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_idx(path: Path, values: np.ndarray) -> Path:
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    content = head + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path
