"""How images lie in folders: which folders are splits, which are classes, which wrap others.

A class holds images. A split is known by its name, and holds classes. A folder that holds one
folder and no images of its own wraps it, and is skipped.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from alexnet.data.archive import ARCHIVE_SUFFIXES
from alexnet.errors import UserError
from alexnet.escape import for_terminal
from alexnet.files import abbreviate

_SPLIT_NAMES = {
    **{"train": "train", "training": "train"},
    **{"val": "val", "valid": "val", "validation": "val"},
    **{"test": "test", "testing": "test"},
}
_EXPECTED = """
  expected, with splits:    without:
    train/                    cat/
      cat/                      1.jpg
        1.jpg                   2.jpg
      dog/                    dog/
        2.jpg                   3.jpg
    test/, val/: the same"""
_MAX_ENTRIES, _MAX_LEVELS, _MAX_LINES = 3, 4, 20  # of a drawing


@dataclass
class Folder:
    """A folder, or an archive that stands for one. others: its files that are no images."""

    path: PurePosixPath = field(default_factory=PurePosixPath)
    is_archive: bool = False
    folders: dict[str, "Folder"] = field(default_factory=dict)
    images: list[PurePosixPath] = field(default_factory=list)
    others: list[PurePosixPath] = field(default_factory=list)

    def add(self, path: PurePosixPath) -> "Folder":
        """The folder at `path`, made where it is missing."""
        folder = self
        for name in path.parts:
            if name not in folder.folders:
                folder.folders[name] = Folder(folder.path / name)
            folder = folder.folders[name]
        return folder

    def walk(self) -> Iterator["Folder"]:
        """This folder and all below it."""
        yield self
        for folder in self.folders.values():
            yield from folder.walk()

    def walk_empty(self) -> Iterator["Folder"]:
        """The folders without images beside others with some."""
        filled = {folder.name for folder in self.filled}
        for folder in self.folders.values():
            if folder.name in filled:
                yield from folder.walk_empty()
            elif filled or self.images:
                yield folder

    @property
    def name(self) -> str:
        """Without the suffix of an archive."""
        name = self.path.name
        ends = [suffix for suffix in ARCHIVE_SUFFIXES if name.lower().endswith(suffix)]
        return name[: -len(max(ends, key=len))] if self.is_archive and ends else name

    @property
    def filled(self) -> list["Folder"]:
        """The folders in it with images, at any depth."""
        return [f for f in self.folders.values() if any(below.images for below in f.walk())]


def find_splits(root_name: str, root: Folder) -> dict[str, Folder]:
    """The folder of each split, which holds its classes; `train` alone where there are none.

    Raises UserError with a drawing of what was found and what is expected, or one that names
    two folders that are the same split.
    """
    top = _unwrap(root, keep_splits=True)
    if not _splits_in(top):
        if top.filled and all(_split_of(folder) for folder in top.folders.values()):
            names = abbreviate(sorted(folder.name for folder in top.folders.values()))
            raise layout_error(root_name, root, f"no folder for each class in {names}")
        return {"train": top}
    strays = [str(f.path) for f in top.filled if not _split_of(f)] + [str(i) for i in top.images]
    if strays:
        raise layout_error(root_name, root, f"{abbreviate(strays)} lies beside the splits, in none")
    splits: dict[str, Folder] = {}
    for folder in top.folders.values():
        if (split := _split_of(folder)) is None:
            continue
        if split in splits:
            raise UserError(
                f"{root_name}: {splits[split].path} and {folder.path} both mean the {split} "
                "images; put them into one folder, or keep one of the two elsewhere"
            )
        splits[split] = _unwrap(folder)
    if "train" not in splits:
        names = abbreviate(sorted(splits))
        raise layout_error(root_name, root, f"has {names} but no train/")
    return splits


def find_classes(root_name: str, root: Folder, split: Folder) -> list[tuple[Folder, Folder]]:
    """Each class in the folder of a split, and the folder in it where its images lie.

    Raises UserError with a drawing if images lie a level too high or too deep, and one that
    names the classes without images.
    """
    if split.images:
        names = abbreviate([str(path) for path in split.images])
        raise layout_error(root_name, root, f"{names} lies in no class")
    classes = []
    for folder in split.folders.values():
        inner = folder
        while not inner.images and len(inner.filled) == 1 and not _split_of(inner.filled[0]):
            (inner,) = inner.filled
        deep = [
            str(path) for each in inner.filled for below in each.walk() for path in below.images
        ]
        if deep:
            raise layout_error(root_name, root, f"{abbreviate(deep)} lies a level too deep")
        classes.append((folder, inner))
    return classes


def layout_error(root_name: str, root: Folder, problem: str) -> UserError:
    """`problem`, with a drawing of the layout that was found and of those that are expected."""
    lines = [f"    {line}" for line in _draw(root, _MAX_LEVELS)]
    if len(lines) > _MAX_LINES:
        lines[_MAX_LINES:] = ["    ..."]
    return UserError("\n".join([f"{root_name}: {problem}", "  found:", *lines]) + _EXPECTED)


def _split_of(folder: Folder) -> str | None:
    """The split that a folder means by its name, in any case, such as Training_Set."""
    name = re.sub(r"[\W_]", "", folder.name.lower())
    return _SPLIT_NAMES.get(name.removesuffix("set"))


def _splits_in(folder: Folder) -> list[Folder]:
    """The folders named as splits that hold classes; with images, it is a class of that name."""
    return [each for each in folder.filled if _split_of(each) and not each.images]


def _unwrap(folder: Folder, keep_splits: bool = False) -> Folder:
    """The folder below those that wrap it; keep_splits: a split wraps only other splits."""
    while not folder.images and len(folder.filled) == 1:
        (inner,) = folder.filled
        is_split = any(_split_of(each) for each in folder.folders.values())
        if inner.images or (keep_splits and is_split and not _splits_in(inner)):
            break
        folder = inner
    return folder


def _draw(folder: Folder, num_levels: int) -> Iterator[str]:
    """A line for each of the first entries of a folder, and of those below it."""
    files = sorted(folder.images + folder.others)
    entries: list[Folder | PurePosixPath] = [*folder.folders.values(), *files]
    for entry in entries[:_MAX_ENTRIES]:
        if isinstance(entry, Folder):
            yield for_terminal(entry.path.name) + "/"
            if num_levels > 1:
                yield from (f"  {line}" for line in _draw(entry, num_levels - 1))
        else:
            yield for_terminal(entry.name)
    if len(entries) > _MAX_ENTRIES:
        yield f"... and {len(entries) - _MAX_ENTRIES:,} more"
