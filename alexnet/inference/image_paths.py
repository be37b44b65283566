"""The image files that a command's arguments name: files, directories and patterns."""

import glob
from collections.abc import Iterable
from pathlib import Path

from alexnet.data.images import IMAGE_SUFFIXES, is_system_file
from alexnet.errors import UserError


def find_images(arguments: Iterable[Path]) -> list[Path]:
    """The image files of `arguments` in their order, each once.

    A directory stands for the images in it and below it, known by their suffix and sorted
    by name; a pattern (with *, ?, [...] or **) for the files that it matches. A file that
    is named itself is returned unchecked: whoever reads it reports what is wrong with it.
    Raises UserError for a directory or a pattern without images.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        found |= dict.fromkeys(_expand(argument))
    return list(found)


def _expand(argument: Path) -> list[Path]:
    if argument.is_dir():
        images = _images_in(argument)
        if not images:
            raise UserError(
                f"{argument} contains no images, nor do its subfolders "
                f"(files that end in {', '.join(IMAGE_SUFFIXES)})"
            )
        return images
    # A file whose name happens to look like a pattern is that file.
    if argument.exists() or not glob.has_magic(str(argument)):
        return [argument]
    matches = [Path(name) for name in sorted(glob.glob(str(argument), recursive=True))]
    images = [path for path in matches if path.is_file()]
    if not images:
        raise UserError(f"no file matches {argument}")
    return images


def _images_in(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES
        and not is_system_file(path.relative_to(folder))
        and path.is_file()
    )
