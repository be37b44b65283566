"""Images in folders: `<split>/<class>/<image>`, or `<class>/<image>`, split by the pipeline."""

import logging
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from alexnet.data.archive import ARCHIVE_SUFFIXES, iter_members
from alexnet.data.file_kinds import is_image
from alexnet.data.images import IMAGE_SUFFIXES, is_system_file
from alexnet.data.index import DatasetIndex, Item
from alexnet.data.layout import Folder, find_classes, find_splits, layout_error
from alexnet.data.members import HEAD_BYTES
from alexnet.errors import UserError
from alexnet.escape import check_class_name
from alexnet.files import abbreviate

_ClassFolders = list[tuple[Folder, Folder]]  # of a split; see find_classes


def read_folder(files: Path, is_source: bool = False) -> DatasetIndex:
    """The index of a folder of images, or of the one archive in `files`.

    is_source: `files` is what data.source names, and not a copy of that: so an image alone in it
    is a misplaced file, and not what was named in place of an archive.
    Classes are sorted by name and images by path, so the index does not depend on the order
    in an archive or a file system. See alexnet.data.layout for the folders. Raises UserError
    that names the misplaced files, a class without images, a single class, the classes that
    are not in all splits, or those whose names are alike or no line of text.
    """
    root = _root(files, is_source)
    listing = _list_members(root)
    splits = {
        split: find_classes(root.name, listing.tree, folder)
        for split, folder in find_splits(root.name, listing.tree).items()
    }
    in_classes = [f for found in splits.values() for _, f in found if f.images]
    beside = _check_files(root.name, listing.tree, in_classes)
    classes = _check_classes(root.name, listing.tree, splits)

    label_of = {name: label for label, name in enumerate(classes)}
    places = sorted(
        (path, label_of[_class_name(folder)], split)
        for split, found in splits.items()
        for folder, inner in found
        for path in inner.images
    )
    index_of = {str(path): index for index, (path, _, _) in enumerate(places)}
    hard_links = listing.hard_links  # and not the whole listing, which takes more memory

    def items() -> Iterator[Item]:
        for member in iter_members(root, open_archives=True):
            names = [str(path) for path in (member.path, *hard_links.get(member.path, ()))]
            wanted = [name for name in names if name in index_of]
            if member.open and wanted:
                content = member.too_large or member.read()
                yield from (Item(index_of[name], name, content) for name in wanted)

    return DatasetIndex(
        classes,
        labels=np.array([label for _, label, _ in places], np.int64),
        split=np.array([split for _, _, split in places]),
        items=items,
        system_files=tuple(sorted(listing.system_files)),
        remarks=(*listing.remarks, *beside),
    )


def _root(files: Path, is_source: bool) -> Path:
    """`files` itself, or the only file in it: an archive, whatever its name."""
    entries = list(files.iterdir())
    if len(entries) != 1 or not entries[0].is_file():
        return files
    with entries[0].open("rb") as file:
        return files if is_source and is_image(file.read(HEAD_BYTES)) else entries[0]


@dataclass
class _Listing:
    """The folders and files of a source, without system files.

    hard_links: for a file, the paths that are hard links to it.
    system_files, remarks: see DatasetIndex.
    """

    tree: Folder = field(default_factory=Folder)
    hard_links: dict[PurePosixPath, list[PurePosixPath]] = field(default_factory=dict)
    system_files: list[str] = field(default_factory=list)
    remarks: list[tuple[int, str]] = field(default_factory=list)


def _list_members(root: Path) -> _Listing:
    listing = _Listing()
    is_image_of: dict[PurePosixPath, bool] = {}  # of each file
    source_of: dict[PurePosixPath, PurePosixPath] = {}  # of each hard link
    recognised: list[str] = []  # images by their first bytes
    guessed: list[str] = []  # names in an encoding that is a guess
    for member in iter_members(root, open_archives=True):
        path = member.path
        if is_system_file(path):
            if not member.is_folder:
                listing.system_files.append(str(path))
            continue
        if member.is_name_guessed:
            guessed.append(str(path))
        if member.is_folder:
            folder = listing.tree.add(path)
            folder.is_archive |= member.is_archive
            continue
        if path in is_image_of:
            raise UserError(f"{root.name}: holds {path} twice; keep one")
        if path.name.lower().endswith(ARCHIVE_SUFFIXES):
            raise UserError(
                f"{member.root.name}: {path} is an archive in an archive; extract "
                f"{member.root.name}, and name the folder in data.source"
            )
        if target := member.hard_link_to:
            if target not in is_image_of:
                raise UserError(
                    f"{member.root.name}: {path} is a hard link to {target}, which is not in the "
                    "archive before it; pack the folder again"
                )
            source_of[path] = source_of.get(target, target)
            listing.hard_links.setdefault(source_of[path], []).append(path)
            is_image_of[path] = is_image_of[target]
        else:
            has_suffix = path.suffix.lower() in IMAGE_SUFFIXES
            is_image_of[path] = has_suffix or is_image(member.read_head())
            if is_image_of[path] and not has_suffix:
                recognised.append(str(path))
        folder = listing.tree.add(path.parent)
        (folder.images if is_image_of[path] else folder.others).append(path)
    if recognised:
        names = abbreviate(sorted(recognised))
        remark = f"{len(recognised)} file(s) without the suffix of an image are images: {names}"
        listing.remarks.append((logging.INFO, remark))
    if guessed:
        remark = (
            f"does not say in which encoding {len(guessed)} of its names are, such as "
            f"{guessed[-1]}; if they look wrong, pack it again with names in UTF-8"
        )
        listing.remarks.append((logging.WARNING, remark))
    if not any(is_image_of.values()):
        kinds = f" of a kind that is read ({', '.join(IMAGE_SUFFIXES)})" if is_image_of else ""
        raise layout_error(root.name, listing.tree, f"holds no images{kinds}")
    return listing


def _check_files(root: str, tree: Folder, classes: list[Folder]) -> list[tuple[int, str]]:
    """Files that are no images, and folders without any, are skipped with a remark.

    But not files within a class.
    """
    inside = [str(path) for each in classes for below in each.walk() for path in below.others]
    if inside:
        raise UserError(
            f"{root}: {abbreviate(sorted(inside))} is no image of a kind that is read "
            f"({', '.join(IMAGE_SUFFIXES)}); save it as PNG or JPEG if it is one, or else move it "
            "out of the folder of its class"
        )
    beside = {
        "file(s) that are no images": [path for folder in tree.walk() for path in folder.others],
        "folder(s) without images": [folder.path for folder in tree.walk_empty()],
    }
    return [
        (logging.INFO, f"skipped {len(paths)} {kind}: {abbreviate(sorted(map(str, paths)))}")
        for kind, paths in beside.items()
        if paths
    ]


def _class_name(folder: Folder) -> str:
    """In Unicode's composed form: macOS and Linux may store the same name in two."""
    return unicodedata.normalize("NFC", folder.name)


def _check_classes(root: str, tree: Folder, splits: dict[str, _ClassFolders]) -> tuple[str, ...]:
    """The classes, sorted by name."""
    empty = [folder for found in splits.values() for folder, inner in found if not inner.images]
    if empty or not all(splits.values()):
        names = [str(folder.path) for folder in empty] or [s for s in splits if not splits[s]]
        others = [str(path) for folder in empty for f in folder.walk() for path in f.others]
        but = f" but {abbreviate(sorted(others))}, of another kind" if others else ""
        advice = "save them as PNG or JPEG" if others else "add some"
        raise UserError(
            f"{root}: {abbreviate(sorted(names))} holds no images{but}; {advice} or move the "
            "folder out"
        )
    _check_alike(root, splits)
    classes = {_class_name(folder) for folder, _ in splits["train"]}
    try:
        for name in sorted(classes):
            check_class_name(name)
    except ValueError as error:
        raise UserError(f"{root}: {error}; rename its folder") from None
    if len(classes) < 2:
        problem = f"holds only the class {abbreviate(sorted(classes))}; two are needed"
        raise layout_error(root, tree, problem)
    for split, found in splits.items():
        different = sorted(classes ^ {_class_name(folder) for folder, _ in found})
        if different:
            raise UserError(
                f"{root}: not both in train/ and in {split}/: {abbreviate(different)}; each split "
                "should have every class"
            )
    return tuple(sorted(classes))


def _check_alike(root: str, splits: dict[str, _ClassFolders]) -> None:
    """Raises UserError that names two folders which a reader takes for the same class."""
    first: dict[str, tuple[str, Folder]] = {}
    for split, found in splits.items():
        for folder, _ in found:
            name = _class_name(folder)
            # Without case, spaces around it, and what is invisible, such as a zero-width space.
            key = "".join(c for c in name.casefold() if unicodedata.category(c) != "Cf").strip()
            other_split, other = first.setdefault(key, (split, folder))
            if other is folder or (other_split != split and _class_name(other) == name):
                continue
            if _class_name(other) == name:
                difference = "their form in Unicode" if other.name != folder.name else "a suffix"
            elif _class_name(other).casefold() == name.casefold():
                difference = "upper and lower case"
            else:
                difference = "spaces or invisible characters"
            raise UserError(
                f"{root}: the classes '{other.path}' and '{folder.path}' differ only in "
                f"{difference}; merge them, or rename one"
            )
