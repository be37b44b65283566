"""CIFAR-10 and CIFAR-100 in their binary version, which has no pickles.

A record is a label byte (CIFAR-100: a coarse and a fine one) and 3,072 bytes of
pixels: the R plane, the G plane, the B plane, 32 rows of 32 each. The archive is
streamed twice, once for the labels and once for the images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alexnet.data.archive import iter_members
from alexnet.data.catalog import DATASETS
from alexnet.data.images import Pixels
from alexnet.data.index import DatasetIndex, Item
from alexnet.errors import UserError

PIXEL_BYTES = 3 * 32 * 32


@dataclass(frozen=True)
class _Layout:
    """The split of each file, in order; the bytes of a label; the file of class names."""

    splits: dict[str, str]
    label_bytes: int
    names: str


_LAYOUTS = {
    "cifar10": _Layout(
        {f"data_batch_{i}.bin": "train" for i in range(1, 6)} | {"test_batch.bin": "test"},
        label_bytes=1,
        names="batches.meta.txt",
    ),
    "cifar100": _Layout(
        {"train.bin": "train", "test.bin": "test"}, label_bytes=2, names="fine_label_names.txt"
    ),
}


def read_cifar(name: str, archive: Path) -> DatasetIndex:
    """The index of `cifar10` or `cifar100`. Raises UserError unless it is the binary version."""
    layout = _LAYOUTS[name]
    classes = DATASETS[name].classes
    labels: dict[str, Pixels] = {}
    stems = set()
    for member in iter_members(archive):
        stems.add(member.path.stem)
        if member.path.name in layout.splits:
            records = _records(member.path.name, member.read(), layout)
            # The last label byte is the fine one.
            labels[member.path.name] = records[:, layout.label_bytes - 1].copy()
        elif member.path.name == layout.names:
            classes = tuple(member.read().decode(errors="replace").split())
    missing = [file for file in layout.splits if file not in labels]
    if missing:
        hint = "is the version in Python pickles" if Path(missing[0]).stem in stems else "lacks it"
        raise UserError(
            f"{archive.name}: {missing[0]} is expected but this archive {hint}; "
            f"give {DATASETS[name].files[0].name}"
        )
    all_labels = np.concatenate([labels[file] for file in layout.splits]).astype(np.int64)
    if len(classes) != len(DATASETS[name].classes) or all_labels.max() >= len(classes):
        raise UserError(
            f"{archive.name}: {len(classes)} class names, labels up to {all_labels.max()}; "
            f"{name} has {len(DATASETS[name].classes)} classes"
        )
    sizes = [len(labels[file]) for file in layout.splits]
    first = dict(zip(layout.splits, np.cumsum([0, *sizes]).tolist(), strict=False))

    def items() -> Iterator[Item]:
        for member in iter_members(archive):
            file = member.path.name
            if file not in layout.splits:
                continue
            planes = _records(file, member.read(), layout)[:, layout.label_bytes :]
            images = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            for row, image in enumerate(images):
                yield Item(first[file] + row, f"{file}[{row}]", image)

    return DatasetIndex(classes, all_labels, np.repeat(list(layout.splits.values()), sizes), items)


def _records(file: str, content: bytes, layout: _Layout) -> Pixels:
    """uint8 (N, label bytes + 3072), a record in each row."""
    record_bytes = layout.label_bytes + PIXEL_BYTES
    if not content or len(content) % record_bytes:
        raise UserError(
            f"{file}: {len(content):,} bytes are not a whole number of records of {record_bytes:,}"
        )
    return np.frombuffer(content, np.uint8).reshape(-1, record_bytes)
