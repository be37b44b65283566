"""Small data sets of real images (scikit-learn's digits), as archives and folders."""

import functools
import gzip
import io
import struct
import tarfile
import zipfile
import zlib

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from alexnet import config


def make_config(**changes):
    values = {
        "name": "folder",
        "source": "somewhere",
        "sha256": None,
        "image_size": 8,
        "channels": 1,
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


def write_idx(path, values):
    head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    content = head + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path
