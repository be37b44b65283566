"""Small data sets of real images (scikit-learn's digits), as archives and folders."""

import bz2
import functools
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from dataclasses import replace
from hashlib import sha256

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from alexnet import config
from alexnet.data.catalog import DATASETS, PublishedFile


def make_config(**changes):
    values = {
        "name": "folder",
        "source": "somewhere",
        "sha256": None,
        "image_size": 8,
        "channels": 1,
        "resize": "bicubic",
        "val_fraction": 0.25,
        "test_fraction": 0.25,
        "split_seed": 0,
        "on_bad_image": "error",
    }
    return config.Data(**(values | changes))


@functools.cache
def digits():
    """uint8 (1797, 8, 8)."""
    return np.rint(load_digits().images * (255 / 16)).astype(np.uint8)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def make_files(num_each=8, splits=(), classes=("cat", "dog")):
    """Path -> PNG; every image is another digit."""
    prefixes = [f"{split}/" for split in splits] or [""]
    names = [f"{p}{c}/{i:03}.png" for p in prefixes for c in classes for i in range(num_each)]
    return {name: png(digits()[row]) for row, name in enumerate(names)}


def read_files(root):
    """Path -> content of the files in a folder."""
    paths = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


def write_folder(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def write_tar(path, files, mode="w"):
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_zip(path, files):
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_raw_zip(path, files, system=0, flags=0, extra=lambda _: b"", method=0):
    """A zip of names and contents, in bytes, with these fields (APPNOTE 4.3.7 and 4.3.12).

    extra: the extra field, as a function of the name in bytes.
    """
    local, central = b"", b""
    for name, content in files.items():
        size, start = len(content), len(local)
        fields = (20, flags, method, 0, 0, zlib.crc32(content), size, size, len(name))
        local += struct.pack("<4s5H3I2H", b"PK\3\4", *fields, 0) + name + content
        others = (len(extra(name)), 0, 0, 0, 0, start)
        central += struct.pack("<4s2B5H3I5H2I", b"PK\1\2", 20, system, *fields, *others)
        central += name + extra(name)
    end = (0, 0, len(files), len(files), len(central), len(local), 0)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(local + central + struct.pack("<4s4H2IH", b"PK\5\6", *end))
    return path


def unicode_path(encoding):
    """The extra field that has in UTF-8 a name in this encoding (APPNOTE 4.6.9)."""

    def field(name):
        body = struct.pack("<BI", 1, zlib.crc32(name)) + name.decode(encoding).encode()
        return struct.pack("<HH", 0x7075, len(body)) + body

    return field


def idx(values):
    """The content of an IDX file."""
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return head + values.astype(np.uint8).tobytes()


def mnist_files(name="mnist"):
    """Name -> content of the four files, of 40 and 20 images; each data set has its own."""
    images = digits()[:60] if name == "mnist" else 255 - digits()[:60]
    files = {}
    for prefix, rows in (("train", slice(0, 40)), ("t10k", slice(40, 60))):
        files[f"{prefix}-images-idx3-ubyte"] = idx(images[rows])
        files[f"{prefix}-labels-idx1-ubyte"] = idx((np.arange(60) + len(name))[rows] % 10)
    return files


def small_spec(name):
    """The entry of the catalog for these files."""
    files = tuple(
        PublishedFile(f"{stem}.gz", sha256="0" * 64, content_sha256=sha256(content).hexdigest())
        for stem, content in mnist_files(name).items()
    )
    return replace(DATASETS[name], files=files, counts={"train": 40, "test": 20}, mirrors=("",))


def cifar_files(name="cifar10"):
    """Name -> content of the binary version, with ten images in each file."""
    label = b"\0" if name == "cifar100" else b""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    names = ["train.bin", "test.bin"] if name == "cifar100" else names
    pixels = np.kron(digits()[: 10 * len(names)], np.ones((4, 4), np.uint8)).reshape(-1, 1024)
    records = [label + bytes([row % 10]) + 3 * image.tobytes() for row, image in enumerate(pixels)]
    files = {file: b"".join(records[10 * k : 10 * k + 10]) for k, file in enumerate(names)}
    return files | {"readme.html": b"<html>"}


def write_idx(path, values):
    content = idx(values)
    packers = {".gz": gzip.compress, ".xz": lzma.compress, ".bz2": bz2.compress}
    path.write_bytes(packers.get(path.suffix, bytes)(content))
    return path
