"""Images in folders: `<split>/<class>/<image>`, or `<class>/<image>`, split by the pipeline."""

import logging
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from alexnet.data.archive import iter_members
from alexnet.data.images import IMAGE_SUFFIXES, is_system_file
from alexnet.data.index import SPLITS, DatasetIndex, Item
from alexnet.errors import UserError
from alexnet.escape import check_class_name
from alexnet.files import abbreviate

log = logging.getLogger(__name__)

_EXPECTED = "expected train/<class>/<image>, the same for test/ and val/, or <class>/<image>"


def read_folder(files: Path) -> DatasetIndex:
    """The index of a folder of images, or of the one archive in `files`.

    Classes are sorted by name and images by path, so the index does not depend on the order
    in an archive or a file system. A single folder around everything is skipped. Raises
    UserError that names the misplaced files, a class without images, a single class, the
    classes that are not in all splits, or one whose name is not a line of text.
    """
    root = _root(files)
    paths, folders = _list_members(root)
    top = _wrapping_folder(paths | folders)
    places = {path: path.relative_to(top).parts for path in sorted(paths)}
    parents = {path.relative_to(top).parts for path in folders if path.is_relative_to(top)}

    has_splits = any(len(parts) == 3 and parts[0] in SPLITS for parts in places.values())
    _check_top(root.name, {parts[0] for parts in parents if parts}, has_splits)
    depth = 3 if has_splits else 2
    stray = [
        str(path)
        for path, parts in places.items()
        if len(parts) != depth or path.suffix.lower() not in IMAGE_SUFFIXES
    ]
    if stray:
        raise UserError(
            f"{root.name}: {abbreviate(stray)} does not belong in a folder of images "
            f"({', '.join(IMAGE_SUFFIXES)}); remove it. {_EXPECTED.capitalize()}"
        )
    if not has_splits:
        places = {path: ("train", *parts) for path, parts in places.items()}
        parents = {("train", *parts) for parts in parents}
    classes = _check_classes(root.name, parents, {parts[:2] for parts in places.values()})

    label_of = {name: label for label, name in enumerate(classes)}
    index_of = {path: index for index, path in enumerate(places)}

    def items() -> Iterator[Item]:
        for member in iter_members(root, follow_links=True):
            if member.path in index_of:
                yield Item(index_of[member.path], str(member.path), member.read())

    return DatasetIndex(
        classes,
        labels=np.array([label_of[parts[1]] for parts in places.values()], np.int64),
        split=np.array([parts[0] for parts in places.values()]),
        items=items,
    )


def _root(files: Path) -> Path:
    """`files` itself, or the only file in it: an archive, whatever its name."""
    entries = list(files.iterdir())
    return entries[0] if len(entries) == 1 and entries[0].is_file() else files


def _list_members(root: Path) -> tuple[set[PurePosixPath], set[PurePosixPath]]:
    """The paths of the files and of the folders, without system files."""
    paths: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    num_skipped = 0
    # Links are DVC's, to its cache (cache.type): download lets none of the source in.
    for member in iter_members(root, follow_links=True):
        if is_system_file(member.path):
            num_skipped += not member.is_folder
        elif member.is_folder:
            folders.add(member.path)
        elif member.path in paths:
            raise UserError(f"{root.name}: holds {member.path} twice; keep one")
        else:
            paths.add(member.path)
            folders.update(member.path.parents)
    if num_skipped:
        log.info("%s: skipped %d hidden or system file(s)", root.name, num_skipped)
    if not paths:
        raise UserError(f"{root.name}: holds no images; {_EXPECTED}")
    return paths, folders


def _wrapping_folder(paths: set[PurePosixPath]) -> PurePosixPath:
    """The one folder around everything, as archives often have, or `.`."""
    tops = {path.parts[0] for path in paths if path.parts}
    if len(tops) == 1 and not tops & set(SPLITS) and any(len(path.parts) > 2 for path in paths):
        return PurePosixPath(tops.pop())
    return PurePosixPath()


def _check_top(root: str, tops: set[str], has_splits: bool) -> None:
    others = sorted(tops - set(SPLITS))
    if has_splits and others:
        raise UserError(
            f"{root}: {abbreviate(others)} beside train/; only test/ and val/ are accepted"
        )
    if has_splits and "train" not in tops:
        raise UserError(f"{root}: has {abbreviate(sorted(tops))} but no train/; {_EXPECTED}")
    if not has_splits and tops and not others:
        raise UserError(
            f"{root}: no folder for each class in {abbreviate(sorted(tops))}; {_EXPECTED}"
        )


def _check_classes(
    root: str, folders: set[tuple[str, ...]], filled: set[tuple[str, ...]]
) -> tuple[str, ...]:
    """The classes, sorted. `folders` holds (split,) and (split, class) for each folder."""
    empty = sorted("/".join(parts) for parts in folders - filled if len(parts) == 2)
    if empty:
        raise UserError(
            f"{root}: {abbreviate(empty)} holds no images; add some or remove the folder"
        )
    classes = {name for split, name in filled if split == "train"}
    try:
        for name in sorted(classes):
            check_class_name(name)
    except ValueError as error:
        raise UserError(f"{root}: {error}; rename its folder") from None
    if len(classes) < 2:
        raise UserError(
            f"{root}: holds only the class {abbreviate(sorted(classes))}; two are needed"
        )
    for split in sorted(parts[0] for parts in folders if len(parts) == 1):
        different = sorted(classes ^ {name for other, name in filled if other == split})
        if different:
            raise UserError(
                f"{root}: {abbreviate(different)} is in only one of train/ and {split}/"
            )
    return tuple(sorted(classes))
