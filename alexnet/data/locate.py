"""The files of a data set in a local folder, as people and other programs leave them there."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from alexnet.data.archive import iter_members
from alexnet.data.catalog import DATASETS
from alexnet.data.cifar import LAYOUTS, explain_missing
from alexnet.data.idx import published_stem
from alexnet.data.images import is_system_file
from alexnet.data.source import Source
from alexnet.data.transfer import is_url
from alexnet.errors import UserError
from alexnet.files import sha256

_COMPRESSED = (".gz", ".xz", ".bz2")
_MAX_NAME_BYTES = 255  # of a file, on Linux
_TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}  # its folder below the root


def local_path(origin: str) -> Path:
    return Path(os.path.expanduser(origin))  # which leaves an unknown ~user as it is


def locate(name: str, origin: str) -> Iterable[tuple[str, Path]]:
    """The files of data set `name` at a local path: each one's path in data/raw/files, and here.

    origin: of `folder`, a folder or an archive. Of a published data set, one of its files or a
    folder: with the files as published, uncompressed, or as torchvision and Kaggle lay them out.
    Raises UserError if nothing is there, or another form than these.
    """
    path = local_path(origin)
    if not path.exists():
        raise UserError(f"{path} does not exist{hint(origin)}")
    if not (path.is_dir() or path.is_file()):
        raise UserError(f"{path} should be a file or a folder")
    spec = DATASETS.get(name)
    if spec and spec.format == "idx":
        return _locate_idx(name, path).items()
    if spec and spec.format == "cifar":
        return _locate_cifar(name, path).items()
    if path.is_file():
        return [(archive_name(path.name), path)]
    return (
        (str(member.path), path / member.path)
        for member in iter_members(path)
        if not (member.is_folder or is_system_file(member.path))
    )


def find_changes(raw: Path, source: Source) -> list[str]:
    """The files of a local source that differ from the copy in `raw`, by their path there.

    Empty where nothing can be said: of a URL, or of a source that is not there any more. Only
    a file written or renamed after the download is read; of the others, name and size are compared.
    """
    if is_url(source.source) or source.name == "digits":
        return []
    missing = {file.path: file for file in source.files}
    downloaded = (raw / "source.json").stat().st_mtime
    changed = []
    try:
        for name, path in locate(source.name, source.source):
            copied, status = missing.pop(name, None), path.stat()
            if (
                copied is None
                or status.st_size != copied.bytes
                or (status.st_ctime > downloaded and sha256(path) != copied.sha256)
            ):
                changed.append(name)
    except (UserError, OSError) as error:
        return [str(error)] if local_path(source.source).exists() else []
    return sorted([*changed, *missing])


def archive_name(file_name: str) -> str:
    """The name under which an archive is kept: without leading dots, which would hide it.

    Of a name longer than a file's may be, the end with the suffix is kept.
    """
    while len(os.fsencode(file_name)) > _MAX_NAME_BYTES:
        file_name = file_name[1:]
    return file_name.lstrip(".") or "images"


def _locate_idx(name: str, path: Path) -> dict[str, Path]:
    stems = [file.name.removesuffix(".gz") for file in DATASETS[name].files]
    wanted = f"{', '.join(stems)}, as they are or as .gz, .xz or .bz2"
    if path.is_file() and published_stem(path.name) is None:
        raise UserError(f"{path} is no file of {name}; give the folder that holds {wanted}")
    folder = path.parent if path.is_file() else path
    found: dict[str, Path] = {}  # by stem
    for place in (folder, folder / "raw", folder / _TORCHVISION.get(name, name) / "raw"):
        entries = sorted(place.iterdir(), reverse=True) if place.is_dir() else []  # x.gz before x
        # Kaggle's archive has each file in a folder of the file's name.
        inside = [entry / entry.name for entry in entries if entry.is_dir()]
        for file in filter(Path.is_file, entries + inside):
            if stem := published_stem(file.name):
                found.setdefault(stem, file)
    missing = [stem for stem in stems if stem not in found]
    if missing:
        raise UserError(f"{folder} lacks {', '.join(missing)}; give the folder that holds {wanted}")
    suffixes = {stem: file.suffix for stem, file in found.items() if file.suffix in _COMPRESSED}
    return {stem + suffixes.get(stem, ""): found[stem] for stem in stems}


def _locate_cifar(name: str, path: Path) -> dict[str, Path]:
    layout, published = LAYOUTS[name], DATASETS[name].files[0].name
    if path.is_file() and path.name not in layout.splits:
        names = {path.name}
        if not any(Path(file).stem == path.name for file in layout.splits):
            return {archive_name(path.name): path}
    else:
        folder = path.parent if path.is_file() else path
        names = {entry.name for entry in folder.iterdir()}
        for place in (folder, folder / layout.folder):
            if (place / published).is_file():
                return {published: place / published}
            files = {file: place / file for file in (*layout.splits, layout.names)}
            files = {file: at for file, at in files.items() if at.is_file()}
            if files:
                return files
    raise UserError(f"{path}: {explain_missing(name, next(iter(layout.splits)), names)}")


def hint(origin: str) -> str:
    """What may be meant by a path that does not exist."""
    if local_path(origin.strip()).exists():
        return "; remove the spaces around it"
    if re.match(r"https?:/|www\.|[\w-]+(\.[\w-]+)*\.(com|org|net|edu|io|ai)/", origin, re.I):
        return "; an address starts with https://"
    if re.match(r"[a-z]:[\\/]|\\\\", origin, re.I):
        return "; it is a path of Windows, which WSL has as /mnt/c/..."
    if origin.lower().startswith("file:"):
        return "; write the path alone, or file:/// before its first folder"
    if "$" in origin:
        return "; variables are not expanded here, ~ is"
    return ""
