"""The image files that a command's arguments name: files, directories and patterns."""

import glob
import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from alexnet.data.images import IMAGE_SUFFIXES, is_system_file
from alexnet.errors import UserError

log = logging.getLogger(__name__)


def find_images(arguments: Iterable[Path]) -> list[Path]:
    """The image files of `arguments` in their order, each once.

    A directory stands for the images in it and below it, links followed, known by their suffix
    and sorted by name; a pattern (with *, ?, [...] or **) for the files that it matches. A file
    that is named itself is returned unchecked: whoever reads it reports what is wrong with it.
    A warning tells how many files of a directory were left out. Raises UserError for a directory
    or a pattern without images, or an address.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        found |= dict.fromkeys(_expand(argument))
    return list(found)


def _expand(argument: Path) -> list[Path]:
    try:
        argument.exists()
    except (OSError, UnicodeEncodeError):  # too long, or no text: whoever reads it reports that
        return [argument]
    if argument.is_dir():
        images = _images_in(argument)
        if not images:
            raise UserError(
                f"{argument} contains no images, nor do its subfolders "
                f"(files that end in {', '.join(IMAGE_SUFFIXES)})"
            )
        return images
    address = re.match(r"([a-z][a-z0-9+.-]+):/(.*)", str(argument))  # a Path has one slash
    if address and not argument.exists():
        raise UserError(
            f"{address[1]}://{address[2]} is an address, and files are read; download it, then "
            "give the file"
        )
    # A file whose name happens to look like a pattern is that file.
    if argument.exists() or not glob.has_magic(str(argument)):
        return [argument]
    matches = [Path(name) for name in sorted(glob.glob(str(argument), recursive=True))]
    circles = {folder for folder in {path.parent for path in matches} if _is_in_circle(folder)}
    images = [path for path in matches if path.parent not in circles and path.is_file()]
    if not images:
        raise UserError(f"no file matches {argument}")
    return images


def _is_in_circle(folder: Path) -> bool:
    """Whether a link on the way to the folder leads to a folder around that link."""
    return any(
        part.is_symlink() and Path(os.path.realpath(part.parent)).is_relative_to(part.resolve())
        for part in (folder, *folder.parents)
    )


def _images_in(folder: Path) -> list[Path]:
    files = list(_walk(folder))
    images = [
        path
        for path in files
        if path.suffix.lower() in IMAGE_SUFFIXES
        and path.is_file()
        and not is_system_file(path.relative_to(folder))
    ]
    if images and len(images) < len(files):
        log.warning(
            "%s: %s file(s) left out, which are hidden, of a system, links that lead "
            "nowhere or back, or do not end in %s",
            *(folder, f"{len(files) - len(images):,}", ", ".join(IMAGE_SUFFIXES)),
        )
    return sorted(images)


def _walk(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """All that is no folder, in it and below it; links are followed, as in training.

    above: the folders around it. A link to one of them would lead in a circle, so it is no folder.
    """
    place = os.path.realpath(folder)
    if place in above:
        yield folder
        return
    for path in folder.iterdir():
        if path.is_dir():
            yield from _walk(path, (*above, place))
        else:
            yield path
