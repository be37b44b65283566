"""Preprocess: decode every image of data/raw once, at one size, into three splits."""

import logging
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alexnet import config
from alexnet.data.catalog import DATASETS
from alexnet.data.dataset import Meta, SkippedImage, check_split, create_split, save_meta
from alexnet.data.decode import Failure, decode_items
from alexnet.data.images import Pixels
from alexnet.data.imbalance import imbalance_of
from alexnet.data.index import SPLITS, DatasetIndex, log_system_files
from alexnet.data.locate import find_changes
from alexnet.data.pixel_stats import blocks, count_duplicates, mean_and_std
from alexnet.data.readers import read_index
from alexnet.data.source import RENEW, load_source, naming_origin
from alexnet.data.splits import count_images, split_dataset
from alexnet.errors import UserError
from alexnet.escape import for_terminal
from alexnet.files import abbreviate, atomic_directory
from alexnet.progress import progress

log = logging.getLogger(__name__)

WRITTEN = re.compile(r"(train|val|test)\.safetensors|meta\.json")  # the files in its folder
Counts = dict[str, dict[str, int]]  # images of each class, for each split
MAX_NAMED = 10  # images in one message


def preprocess(
    data: config.Data,
    raw: Path,
    folder: Path,
    num_workers: int | None = None,
    check: Callable[[Counts], None] = lambda counts: None,
) -> Meta:
    """Write train, val and test.safetensors and meta.json to `folder`, all or none.

    Each split holds images uint8 (N, size, size, channels) and labels int64 (N). The
    same source and parameters give the same bytes, whatever the number of workers (by
    default one for each CPU). Images that do not decode are left out if data.on_bad_image
    says so: the splits are drawn before, so the others stay where they are. `check` is called with
    the number of images of each class, for each split, before any is decoded. Raises UserError
    if `raw` does not hold a valid data set of the kind of data.name, or if an image does not
    decode that is not left out, or if a class has no image left in a split.
    """
    origin, digest = _check_source(data, raw)
    advice = f". {raw} has a copy of it: once the source is mended, run {RENEW}"
    about_source = partial(naming_origin, raw / "files", origin, advice)
    with about_source():
        index = read_index(data.name, raw / "files")
    _log_remarks(origin, index)
    splits = split_dataset(index, data)
    counts = count_images(splits, index.labels, index.classes)
    check(counts)
    with atomic_directory(folder, WRITTEN.fullmatch) as new:
        num_workers = num_workers or len(os.sched_getaffinity(0))
        with about_source():
            images, failures = _write_splits(new, index, splits, data, num_workers)
            if failures:
                counts = _skip(failures, index, splits, data.on_bad_image)
        if failures:
            _remove_images(new, images, index.labels, splits, failures)
        mean, std = mean_and_std(images["train"])
        others = ("test", "val")
        numbers = count_duplicates(images["train"], *(images[split] for split in others))
        duplicates = {f"train-{split}": n for split, n in zip(others, numbers, strict=True)}
        for split in SPLITS:
            numbers = list(counts[split].values())
            check_split(new / f"{split}.safetensors", data.image_size, data.channels, numbers)
        meta = Meta(
            name=data.name,
            classes=index.classes,
            image_size=data.image_size,
            channels=data.channels,
            resize=data.resize,
            mean=mean,
            std=std,
            counts=counts,
            duplicates=duplicates,
            skipped=tuple(SkippedImage(for_terminal(f.name), f.reason) for f in failures),
            source=origin,
            source_sha256=digest,
        )
        save_meta(new, meta)
    _log_summary(meta)
    return meta


def _check_source(data: config.Data, raw: Path) -> tuple[str, str]:
    """The origin of the source in `raw` and its digest, once it is checked against `data`."""
    source = load_source(raw)
    if source.name != data.name:
        raise UserError(
            f"{raw} holds {source.name}, but data.name is {data.name}; run `dvc repro download`"
        )
    if data.sources and source.source not in data.sources:
        raise UserError(
            f"{raw} holds the images of {source.source}, which data.source does not name; run "
            "`dvc repro download`"
        )
    if changes := find_changes(raw, source):
        log.warning(
            "%s has changed since it was downloaded (%s). Its old copy in %s is used; to renew it, "
            "run %s",
            *(source.source, abbreviate(changes), raw, RENEW),
        )
    return source.source, source.sha256


def _log_remarks(origin: str, index: DatasetIndex) -> None:
    """Only here: download has read the source as well, but does not run each time."""
    log_system_files(origin, index)
    for level, remark in index.remarks:
        log.log(level, "%s: %s", origin, remark)


def _write_splits(
    folder: Path,
    index: DatasetIndex,
    splits: NDArray[np.str_],
    data: config.Data,
    num_workers: int,
) -> tuple[dict[str, Pixels], list[Failure]]:
    """Decode into the files of the three splits; images keep their order in the index.

    Returns the images of each split and the failures, in the same order; the rows of these are
    zero.
    """
    size, channels = data.image_size, data.channels
    images: dict[str, Pixels] = {}
    row = np.empty(len(index), np.int64)  # of an image in its split
    for split in SPLITS:
        members = np.flatnonzero(splits == split)
        row[members] = np.arange(len(members))
        path = folder / f"{split}.safetensors"
        images[split], labels = create_split(path, len(members), size, channels)
        labels[:] = index.labels[members]
    num_done = 0
    failures: list[Failure] = []
    with progress("decode", len(index)) as advance:
        decoded = decode_items(index.items(), len(index), size, channels, num_workers, data.resize)
        for indices, chunk, failed in decoded:
            for split in SPLITS:
                in_split = splits[indices] == split
                images[split][row[indices][in_split]] = chunk[in_split]
            failures += failed
            num_done += len(indices) + len(failed)
            advance(len(indices) + len(failed))
    assert num_done == len(index), "every image of the index was read"
    return images, sorted(failures)


def _skip(
    failures: list[Failure], index: DatasetIndex, splits: NDArray[np.str_], on_bad_image: str
) -> Counts:
    """The counts without the failures. Raises UserError if these cannot or shall not be skipped."""
    listed = [f"  {for_terminal(f.name)} {f.reason}" for f in failures[:MAX_NAMED]]
    if len(failures) > MAX_NAMED:
        listed.append(f"  and {len(failures) - MAX_NAMED:,} more")
    number = f"{len(failures):,} of {len(index):,} images cannot be read"
    message = "\n".join([f"{number}:", *listed])
    if on_bad_image == "error":
        raise UserError(
            f"{message}\n  Replace or remove them, or leave them out with data.on_bad_image: skip"
        )
    kept = np.ones(len(index), bool)
    kept[[failure.index for failure in failures]] = False
    try:
        counts = count_images(splits[kept], index.labels[kept], index.classes)
    except UserError as error:
        raise UserError(f"{error} that can be read; replace some. {message}") from None
    log.warning("%s", message.replace(":", ", and are left out (meta.json lists them):", 1))
    return counts


def _remove_images(
    folder: Path,
    images: dict[str, Pixels],
    labels: NDArray[np.int64],
    splits: NDArray[np.str_],
    failures: list[Failure],
) -> None:
    """Write the splits with failures again without them, and map their `images` anew."""
    failed = [failure.index for failure in failures]
    for split in SPLITS:
        members = np.flatnonzero(splits == split)
        kept = np.flatnonzero(~np.isin(members, failed))
        if len(kept) == len(members):
            continue
        path, decoded = folder / f"{split}.safetensors", images[split]
        path.unlink()  # its map, `decoded`, stays
        images[split], new_labels = create_split(path, len(kept), *decoded.shape[2:])
        new_labels[:] = labels[members[kept]]
        for rows in blocks(images[split]):
            images[split][rows] = decoded[kept[rows]]


def _log_summary(meta: Meta) -> None:
    spec = DATASETS.get(meta.name)
    shape = f"{meta.image_size}x{meta.image_size}x{meta.channels}"
    if spec and (spec.image_size, spec.channels) != (meta.image_size, meta.channels):
        published = f"{spec.image_size}x{spec.image_size}x{spec.channels}"
        log.info(
            "%s: published as %s, written as %s by data.image_size and data.channels",
            *(meta.name, published, shape),
        )
    sizes = ", ".join(f"{split} {meta.num_images(split):,}" for split in SPLITS)
    log.info("%s: %d classes, %s images of %s", meta.name, meta.num_classes, sizes, shape)
    for pair, num in meta.duplicates.items():
        if num:
            first, second = pair.split("-")
            log.info("%d image(s) of %s are also in %s, pixel by pixel", num, second, first)
    imbalance = imbalance_of(meta.counts)
    if imbalance.is_high:
        log.warning(
            "class imbalance: %s; accuracy says little about %s; gate.min_class_recall bounds the "
            "recall of each class",
            imbalance,
            imbalance.smallest,
        )
