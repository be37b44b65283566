"""Preprocess: decode every image of data/raw once, at one size, into three splits."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexnet import config
from alexnet.data.catalog import KNOWN
from alexnet.data.cifar import read_cifar
from alexnet.data.decode import decode_items
from alexnet.data.digits import read_digits
from alexnet.data.folder import read_folder
from alexnet.data.idx import read_idx
from alexnet.data.images import Pixels
from alexnet.data.index import SPLITS, DatasetIndex
from alexnet.data.meta import Meta, save_meta
from alexnet.data.pixel_stats import mean_and_std, num_duplicates
from alexnet.data.source import load_source
from alexnet.data.splits import count, split_dataset
from alexnet.data.storage import check_split, create_split
from alexnet.errors import UserError
from alexnet.files import atomic_directory
from alexnet.progress import progress

Say = Callable[[str], None]


def preprocess(
    data: config.Data, raw: Path, folder: Path, say: Say = print, num_workers: int | None = None
) -> Meta:
    """Write train, val and test.safetensors and meta.json to `folder`, all or nothing.

    Each split holds images uint8 (N, size, size, channels) and labels int64 (N). The
    same source and parameters give the same bytes, however many workers decode (by
    default one for each processor). Raises UserError for a source that is not a data
    set as data.name says.
    """
    source = load_source(raw)
    if source.name != data.name:
        raise UserError(
            f"{raw} holds {source.name}, but data.name is {data.name}; run the download stage"
        )
    listing = read(data.name, raw / "files", say)
    splits = split_dataset(listing, data)
    counts = count(splits, listing.labels, listing.classes)
    with atomic_directory(folder) as new:
        images = _write(new, listing, splits, data, num_workers or len(os.sched_getaffinity(0)))
        mean, std = mean_and_std(images["train"])
        duplicates = {
            f"train-{split}": num_duplicates(images["train"], images[split])
            for split in ("test", "val")
        }
        for split in SPLITS:
            numbers = list(counts[split].values())
            check_split(new / f"{split}.safetensors", data.image_size, data.channels, numbers)
        meta = Meta(
            name=data.name,
            classes=listing.classes,
            image_size=data.image_size,
            channels=data.channels,
            mean=mean,
            std=std,
            counts=counts,
            duplicates=duplicates,
            source=source.source,
            source_sha256=source.sha256,
        )
        save_meta(new, meta)
    _report(meta, say)
    return meta


def read(name: str, files: Path, say: Say) -> DatasetIndex:
    """List data set `name` in `files`, which holds it as received.

    Raises UserError if a known data set has not the images that it was published with.
    """
    if name == "folder":
        return read_folder(files, say)
    if name in ("mnist", "fashion-mnist"):
        listing = read_idx(name, files)
    else:
        (file,) = files.iterdir()
        listing = read_digits(file) if name == "digits" else read_cifar(name, file)
    check_published(name, listing.given)
    return listing


def check_published(name: str, given: NDArray[np.str_]) -> None:
    """Raises UserError unless each split has as many images as were published."""
    names, numbers = np.unique(given, return_counts=True)
    found = dict(zip(names.tolist(), numbers.tolist(), strict=True))
    if found != dict(KNOWN[name].counts):
        raise UserError(f"{name} should have {dict(KNOWN[name].counts)} images, but has {found}")


def _write(
    folder: Path,
    listing: DatasetIndex,
    splits: NDArray[np.str_],
    data: config.Data,
    num_workers: int,
) -> dict[str, Pixels]:
    """Decode into the files of the three splits; images keep their order in the listing."""
    size, channels = data.image_size, data.channels
    images: dict[str, Pixels] = {}
    row = np.empty(len(listing), np.int64)  # of an image in its split
    for split in SPLITS:
        mine = np.flatnonzero(splits == split)
        row[mine] = np.arange(len(mine))
        path = folder / f"{split}.safetensors"
        images[split], labels = create_split(path, len(mine), size, channels)
        labels[:] = listing.labels[mine]
    num_done = 0
    with progress("decode", len(listing)) as advance:
        for indices, decoded in decode_items(
            listing.items(), len(listing), size, channels, num_workers
        ):
            for split in SPLITS:
                mine = splits[indices] == split
                images[split][row[indices][mine]] = decoded[mine]
            num_done += len(indices)
            advance(len(indices))
    assert num_done == len(listing), "every image listed was read"
    return images


def _report(meta: Meta, say: Say) -> None:
    known = KNOWN.get(meta.name)
    if known and (known.image_size, known.channels) != (meta.image_size, meta.channels):
        say(
            f"{meta.name}: {known.image_size}x{known.image_size}x{known.channels} as published, "
            f"{meta.image_size}x{meta.image_size}x{meta.channels} by data.image_size and channels"
        )
    sizes = ", ".join(f"{split} {meta.num_images(split):,}" for split in SPLITS)
    say(
        f"{meta.name}: {meta.num_classes} classes, {sizes} images of "
        f"{meta.image_size}x{meta.image_size}x{meta.channels}"
    )
    for pair, num in meta.duplicates.items():
        if num:
            first, second = pair.split("-")
            say(f"{num} image(s) of {second} are also in {first}, pixel by pixel")
