"""Download: fill data/raw with a data set exactly as its source provides it.

Each file is verified before anything opens it: a published data set against its published
size and digest, any other source against data.sha256 if that is set.
"""

import logging
import os
import shutil
from dataclasses import replace
from importlib.resources import files as package_files
from pathlib import Path
from urllib.parse import urlsplit

from alexnet import config, files
from alexnet.data.archive import iter_members
from alexnet.data.catalog import DATASETS, PublishedFile
from alexnet.data.images import is_system_file
from alexnet.data.source import Source, list_source, save_source, written_by_download
from alexnet.data.transfer import NotFoundError, discard_partial, fetch, is_url, partial_path
from alexnet.errors import UserError

log = logging.getLogger(__name__)


def download(data: config.Data, folder: Path) -> None:
    """Fill `folder` with source.json and files/; its old contents stay if that fails.

    The sources are tried in order. A partial download is kept in `.partial` beside the
    folder, and the next run resumes it. Raises UserError if no source provides the data
    set, or none with the expected digest, or if `folder` holds files that are not of a
    download, which would be lost.
    """
    if data.sha256 and data.name in DATASETS and len(DATASETS[data.name].files) > 1:
        raise UserError(
            f"data.sha256: {data.name} has several files, each checked against its published "
            "digest; set it to null"
        )
    partials = folder.parent / ".partial"
    with files.atomic_directory(folder, written_by_download(folder)) as new:
        source = _receive_from_first_available(data, new, folder)
        save_source(new, source)
    shutil.rmtree(partials, ignore_errors=True)
    log.info(
        "%s: %s file(s), %s bytes from %s",
        *(data.name, f"{len(source.files):,}", f"{source.num_bytes:,}", source.source),
    )


def _receive_from_first_available(data: config.Data, new: Path, folder: Path) -> Source:
    failures: list[str] = []
    origins = _list_origins(data)
    for origin in origins:
        try:
            (new / "files").mkdir()
            if data.name == "folder" and not is_url(origin) and _local_path(origin).is_dir():
                return _copy_folder(data, origin, new, folder)
            return _receive_files(data, origin, new, folder.parent / ".partial")
        except UserError as error:
            shutil.rmtree(new / "files")
            failures.append(f"data.source: {error}" if data.sources else str(error))
            if origin != origins[-1]:
                log.info("%s; trying the next source", error)
    raise UserError("\n".join(failures))


def _list_origins(data: config.Data) -> list[str]:
    """The values of data.source, or else the published addresses."""
    if not all(source.strip() for source in data.sources):
        raise UserError("data.source: is empty; give a URL or a path, or null")
    if data.sources:
        return data.sources
    if data.name == "digits":
        return [str(package_files("sklearn.datasets") / "data" / "digits.csv.gz")]
    spec = DATASETS[data.name]
    if len(spec.files) > 1:
        return list(spec.mirrors)
    return [mirror + spec.files[0].name for mirror in spec.mirrors]


def _copy_folder(data: config.Data, origin: str, new: Path, folder: Path) -> Source:
    """Copy a folder file by file, and of a link the content; a device fails with an error."""
    root = _local_path(origin)
    if folder.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{origin} contains {folder}, where it would be copied to; move it out")
    num_skipped = 0
    for member in iter_members(root):
        copy = new / "files" / member.path
        if is_system_file(member.path):
            num_skipped += 1
        elif member.is_folder:
            copy.mkdir()
        else:
            shutil.copyfile(root / member.path, copy)
    if num_skipped:
        log.info("%s: skipped %d hidden or system file(s)", origin, num_skipped)
    source = list_source(new, data.name, origin)
    if data.sha256 and source.sha256 != data.sha256:
        raise UserError(
            f"{origin}: the sha256 of its list of files is {source.sha256}, "
            f"but data.sha256 is {data.sha256}"
        )
    return source


def _receive_files(data: config.Data, origin: str, new: Path, partials: Path) -> Source:
    """Verify all files of a data set where they are, then move or copy them to `new`."""
    wanted = DATASETS[data.name].files if data.name in DATASETS else (PublishedFile(""),)
    several = len(wanted) > 1
    received: dict[str, Path] = {}
    for file in wanted:
        if data.sha256:
            file = replace(file, num_bytes=None, sha256=data.sha256)
        try:
            address = _address(origin, file.name, several)
            received[_file_name(address)] = _receive_verified(address, file, partials)
        except NotFoundError as missing:
            if not several:
                raise
            plain = _address(origin, file.name.removesuffix(".gz"), several)
            try:
                received[_file_name(plain)] = _receive_verified(
                    plain, PublishedFile(plain), partials
                )
            except NotFoundError:
                raise missing from None
            log.info("%s: not compressed, so there is no published digest to check", plain)
    for name, path in received.items():
        if path.parent == partials:
            path.replace(new / "files" / name)
        else:
            shutil.copyfile(path, new / "files" / name)
    return list_source(new, data.name, "scikit-learn" if data.name == "digits" else origin)


def _receive_verified(address: str, file: PublishedFile, partials: Path) -> Path:
    """The path of a local or downloaded file, whose size and digest are verified."""
    if is_url(address):
        path = partial_path(address, partials)
        fetch(address, path, file.num_bytes)
    else:
        path = _local_path(address)
        if not path.exists():
            raise NotFoundError(f"{path} does not exist")
        if not path.is_file():
            raise UserError(f"{path} should be a file")
    try:
        _verify(address, path, file)
    except UserError:
        if is_url(address):
            discard_partial(path)
        raise
    return path


def _verify(address: str, path: Path, file: PublishedFile) -> None:
    hint = "it is damaged or another version: get it again, or see data.sha256"
    num_bytes = path.stat().st_size
    if file.num_bytes not in (None, num_bytes):
        raise UserError(
            f"{address}: {file.name} should have {file.num_bytes:,} bytes, this one has "
            f"{'at least ' if is_url(address) else ''}{num_bytes:,}; {hint}"
        )
    if file.sha256 and (found := files.sha256(path)) != file.sha256:
        raise UserError(f"{address}: its sha256 should be {file.sha256}, but is {found}; {hint}")


def _address(origin: str, name: str, several: bool) -> str:
    """The URL or path of a file: `origin` itself, or `name` in it if it is a folder."""
    if is_url(origin):
        return f"{origin.rstrip('/')}/{name}" if several else origin
    path = _local_path(origin)
    return str(path / name if several or path.is_dir() else path)


def _file_name(address: str) -> str:
    """The last part of a path or URL, without leading dots, which would hide the file."""
    path = urlsplit(address).path if is_url(address) else address
    return path.rpartition("/")[2].lstrip(".") or "images"


def _local_path(origin: str) -> Path:
    return Path(os.path.expanduser(origin))  # which leaves an unknown ~user as it is
