"""Verify a file of a data set: what digest proves it, and what it is if none does."""

import hashlib
from pathlib import Path

from alexnet import files
from alexnet.data.catalog import DATASETS, PublishedFile, known_content
from alexnet.data.cifar import read_cifar
from alexnet.data.file_kinds import LFS_POINTER, WEB_PAGE
from alexnet.data.idx import published_stem, read_content
from alexnet.data.source import naming_origin
from alexnet.data.transfer import is_url
from alexnet.errors import UserError


def published_file(name: str, path: str) -> PublishedFile:
    """The file of data set `name` that `path`, in data/raw/files, should be."""
    files = DATASETS[name].files
    stem = published_stem(path)
    return next((file for file in files if stem and published_stem(file.name) == stem), files[0])


def verify(name: str, file: PublishedFile, address: str, path: Path) -> bool:
    """Whether a digest proves that the file at `path` is `file` of data set `name`.

    address: of the file, for messages. False if no digest is known for its form: a local file
    that is not `file` as published. Raises UserError if it has another content than published.
    """
    if not (file.sha256 or file.content_sha256):
        return False
    found = files.sha256(path)
    if found == file.sha256:
        return True
    if file.content_sha256:
        with naming_origin(path, address):
            content = hashlib.sha256(read_content(path)).hexdigest()
        if content == file.content_sha256:
            return True
        if known := known_content(content):
            raise UserError(f"{address} is {known}, not {published_stem(file.name)} of {name}")
        raise UserError(
            f"{address}: the sha256 of its content should be {file.content_sha256}, but is "
            f"{content}; it is damaged or of another data set"
        )
    if is_url(address):
        raise UserError(
            f"{address}: its sha256 should be {file.sha256}, but is {found}; {_explain(name, path)}"
        )
    return False


def check_start(address: str, path: Path) -> None:
    """Raises UserError if the file is empty, a web page or a Git LFS pointer in place of data."""
    with path.open("rb") as file:
        start = file.read(512)
    gives = "gives" if is_url(address) else "is"
    if not start:
        raise UserError(f"{address} {gives} an empty file")
    if WEB_PAGE.match(start):
        raise UserError(
            f"{address} {gives} a web page, as of a login or a warning, in place of the file; "
            "download the file in a browser and name the local path"
        )
    if LFS_POINTER.match(start):
        raise UserError(
            f"{address} {gives} a pointer of Git LFS in place of the file; run `git lfs pull`"
        )


def _explain(name: str, path: Path) -> str:
    """What a file is that is not the published one, as far as reading it tells."""
    if DATASETS[name].format != "cifar":
        return "it is damaged or another version; get it again"
    try:
        read_cifar(name, path)
    except UserError as error:
        return str(error).removeprefix(path.name).removeprefix(": ")
    return f"it holds {name} all the same: to accept it, set data.sha256 to the second"
