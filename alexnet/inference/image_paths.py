"""The image files that a command's arguments name: files, directories and patterns."""

import glob
from collections.abc import Iterable
from pathlib import Path

from alexnet.data.images import IMAGE_SUFFIXES, is_system_file
from alexnet.errors import UserError


def gather(arguments: Iterable[Path]) -> list[Path]:
    """Each file once: arguments in their order, what a directory or pattern holds by name.

    A directory gives the images in it and below it, known by their suffix; a pattern
    (with *, ?, [...] or **) the files that it matches. A file that is named itself is
    taken as it is, so that its reader can say what is wrong with it. Raises UserError
    for a directory or a pattern without images.
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
                f"{argument} holds no images, nor do the folders in it "
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
