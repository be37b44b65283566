"""CIFAR-10 and CIFAR-100 in their binary version, which has no pickles.

A record is a label byte (CIFAR-100: a coarse and a fine one) and 3,072 bytes of
pixels: the R plane, the G plane, the B plane, 32 rows of 32 each. An archive is
streamed twice, once for the labels and once for the images.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alexnet.data.archive import iter_members
from alexnet.data.catalog import DATASETS
from alexnet.data.images import Pixels
from alexnet.data.index import DatasetIndex, Item
from alexnet.errors import UserError

PIXEL_BYTES = 3 * 32 * 32
_PICKLES = re.compile(r"cifar-100?-(batches-py|python)(\.tar\.gz)?")


@dataclass(frozen=True)
class Layout:
    """The split of each file, in order; the bytes of a label; the file of class names; the folder.

    folder: the name of the folder in the archive.
    """

    splits: dict[str, str]
    label_bytes: int
    names: str
    folder: str


LAYOUTS = {
    "cifar10": Layout(
        {f"data_batch_{i}.bin": "train" for i in range(1, 6)} | {"test_batch.bin": "test"},
        label_bytes=1,
        names="batches.meta.txt",
        folder="cifar-10-batches-bin",
    ),
    "cifar100": Layout(
        {"train.bin": "train", "test.bin": "test"},
        label_bytes=2,
        names="fine_label_names.txt",
        folder="cifar-100-binary",
    ),
}


def read_cifar(name: str, root: Path) -> DatasetIndex:
    """The index of `cifar10` or `cifar100`, of an archive or of the folder in it, extracted.

    Raises UserError unless it is the binary version.
    """
    layout = LAYOUTS[name]
    classes = DATASETS[name].classes
    labels: dict[str, Pixels] = {}
    found = set()
    for file, read in _members(root):
        found.add(file)
        if file in layout.splits:
            # The last label byte is the fine one.
            labels[file] = _records(file, read(), layout)[:, layout.label_bytes - 1].copy()
        elif file == layout.names:
            classes = tuple(read().decode(errors="replace").split())
    missing = [file for file in layout.splits if file not in labels]
    if missing:
        raise UserError(f"{root.name}: {explain_missing(name, missing[0], found)}")
    all_labels = np.concatenate([labels[file] for file in layout.splits]).astype(np.int64)
    if len(classes) != len(DATASETS[name].classes) or all_labels.max() >= len(classes):
        raise UserError(
            f"{root.name}: {len(classes)} class names, labels up to {all_labels.max()}; "
            f"{name} has {len(DATASETS[name].classes)} classes"
        )
    sizes = [len(labels[file]) for file in layout.splits]
    first = dict(zip(layout.splits, np.cumsum([0, *sizes]).tolist(), strict=False))

    def items() -> Iterator[Item]:
        for file, read in _members(root):
            if file not in layout.splits:
                continue
            planes = _records(file, read(), layout)[:, layout.label_bytes :]
            images = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            for row, image in enumerate(images):
                yield Item(first[file] + row, f"{file}[{row}]", image)

    return DatasetIndex(classes, all_labels, np.repeat(list(layout.splits.values()), sizes), items)


def explain_missing(name: str, file: str, found: set[str]) -> str:
    """Why `file` is not among the files found, and what to give for `name` instead."""
    stem = file.removesuffix(".bin")
    if stem in found or any(map(_PICKLES.fullmatch, found)):
        reason = "this is the version in Python pickles, which are never opened"
    elif f"{stem}.mat" in found:
        reason = "this is the version for Matlab"
    else:
        reason = "is not in it"
    return (
        f"{file} is expected, but {reason}; give {DATASETS[name].files[0].name}, or the folder "
        f"{LAYOUTS[name].folder} that is in it"
    )


def _members(root: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """(name, read) of each file."""
    if root.is_dir():
        for path in filter(Path.is_file, sorted(root.iterdir())):
            yield path.name, path.read_bytes
    else:
        for member in iter_members(root):
            if not member.is_folder:
                yield member.path.name, member.read


def _records(file: str, content: bytes, layout: Layout) -> Pixels:
    """uint8 (N, label bytes + 3072), a record in each row."""
    record_bytes = layout.label_bytes + PIXEL_BYTES
    if not content or len(content) % record_bytes:
        raise UserError(
            f"{file}: {len(content):,} bytes are not a whole number of records of {record_bytes:,}"
        )
    return np.frombuffer(content, np.uint8).reshape(-1, record_bytes)
