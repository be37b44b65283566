"""Download: fill data/raw with a data set exactly as its source provides it.

A published data set is verified by the digests of its files, or of what they decompress to; any
other source by data.sha256 if that is set. What no digest proves is read as preprocess reads it.
So what lies in data/raw is a data set of the kind of data.name.
"""

import errno
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files as package_files
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from alexnet import config, files
from alexnet.data.catalog import DATASETS, PublishedFile
from alexnet.data.folder import read_folder
from alexnet.data.idx import published_stem
from alexnet.data.index import log_system_files
from alexnet.data.locate import archive_name, local_path, locate
from alexnet.data.readers import read_index
from alexnet.data.source import (
    Source,
    list_source,
    naming_origin,
    save_source,
    written_by_download,
)
from alexnet.data.transfer import (
    NotFoundError,
    check_url,
    discard_partial,
    fetch,
    is_url,
    partial_path,
)
from alexnet.data.verify import check_start, published_file, verify
from alexnet.errors import UserError
from alexnet.scratch import locked_folder

log = logging.getLogger(__name__)


def download(data: config.Data, folder: Path) -> None:
    """Fill `folder` with source.json and files/; its old contents stay if that fails.

    The sources are tried in order. A partial download is kept in `.partial` beside the
    folder, and the next run resumes it. Raises UserError if no source provides the data
    set whole, or none with the expected digest, or if `folder` holds files that are not of a
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
    if partials.exists():
        with locked_folder(partials) as is_free:
            if is_free:  # and no other download uses it
                shutil.rmtree(partials, ignore_errors=True)
    log.info(
        "%s: %s file(s), %s bytes from %s",
        *(data.name, f"{len(source.files):,}", f"{source.num_bytes:,}", source.source),
    )


def _receive_from_first_available(data: config.Data, new: Path, folder: Path) -> Source:
    failures: list[str] = []
    origins, partials = _list_origins(data), folder.parent / ".partial"
    for origin in origins:
        try:
            (new / "files").mkdir()
            with _reading(origin, new, partials):
                if is_url(origin):
                    is_read = _receive_remote(data, origin, new / "files", partials)
                else:
                    is_read = _receive_local(data, origin, new / "files", folder)
                return _check_received(data, origin, new, is_read)
        except UserError as error:
            shutil.rmtree(new / "files")
            failures.append(f"data.source: {error}" if data.sources else str(error))
            if origin != origins[-1]:
                log.info("%s; trying the next source", error)
    raise UserError("\n".join(dict.fromkeys(failures)))


@contextmanager
def _reading(origin: str, *written: Path) -> Iterator[None]:
    """Turn an OSError of reading a source into a UserError; one of writing passes.

    written: the folders that are written to. An error of copying names the file that is read,
    though it may be the disk that is full.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        if any(Path(error.filename).is_relative_to(folder) for folder in written):
            raise
        at = "" if error.filename == str(local_path(origin)) else f": {error.filename}"
        raise UserError(f"{origin} cannot be read ({error.strerror}{at})") from None


def _list_origins(data: config.Data) -> list[str]:
    """The values of data.source, or else the published addresses."""
    if data.sources:
        return data.sources
    if data.name == "digits":
        return [str(package_files("sklearn.datasets") / "data" / "digits.csv.gz")]
    spec = DATASETS[data.name]
    if len(spec.files) > 1:
        return list(spec.mirrors)
    return [mirror + spec.files[0].name for mirror in spec.mirrors]


def _receive_local(data: config.Data, origin: str, into: Path, folder: Path) -> bool:
    """Copy a file, or the files of a folder. Whether they need not be read any more.

    What can be checked in its place is, before anything is copied.
    """
    root = local_path(origin)
    with naming_origin(root, origin):
        located = locate(data.name, origin)
        if is_folder := data.name == "folder" and root.is_dir():
            if folder.resolve().is_relative_to(root.resolve()):
                raise UserError(
                    f"{root} contains {folder}, where it would be copied to; move it out"
                )
            # The copy lacks the system files.
            log_system_files(origin, read_folder(root, is_source=True))
    is_proven = is_folder or all(
        [_verify(data, name, str(path), path) for name, path in located]  # noqa: C419 (each)
    )
    for name, path in located:  # of a folder walked here, and not before: it can be read once
        copy = into / name
        if not copy.parent.exists():
            copy.parent.mkdir(parents=True)
        shutil.copyfile(path, copy)
    return is_proven


def _receive_remote(data: config.Data, origin: str, into: Path, partials: Path) -> bool:
    """Download each file and verify it before the next. Whether they need not be read any more."""
    check_url(origin)
    with locked_folder(partials) as is_free:
        if not is_free:
            raise UserError(f"{origin}: another download uses {partials}; wait until it has ended")
        return _receive_files(data, origin, into, partials)


def _receive_files(data: config.Data, origin: str, into: Path, partials: Path) -> bool:
    published = DATASETS[data.name].files if data.name in DATASETS else (PublishedFile(""),)
    received: dict[str, Path] = {}
    is_proven = []
    for file in published:
        address = _in_folder(origin, file.name) if len(published) > 1 else origin
        try:
            path = _fetch(address, partials, file)
        except NotFoundError as missing:
            address = _in_folder(origin, file.name.removesuffix(".gz"))
            if len(published) == 1:
                raise
            try:
                path = _fetch(address, partials, file)
            except NotFoundError:
                raise missing from None
        name = archive_name(urlsplit(address).path.rpartition("/")[2])
        try:
            is_proven.append(_verify(data, name, address, path))
        except UserError:
            discard_partial(path)
            raise
        received[name] = path
    for name, path in received.items():
        path.replace(into / name)
    return all(is_proven)


def _fetch(address: str, partials: Path, file: PublishedFile) -> Path:
    path = partial_path(address, partials)
    fetch(address, path, file.num_bytes)
    return path


def _in_folder(url: str, name: str) -> str:
    """The URL of a file beside others; `url` is that of their folder, or of one of them."""
    parts = urlsplit(url)
    folder, _, last = parts.path.rpartition("/")
    folder = folder if published_stem(last) else parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=f"{folder}/{name}"))


def _verify(data: config.Data, name: str, address: str, path: Path) -> bool:
    """Whether a published digest proves the file that is to be `name` in data/raw/files."""
    check_start(address, path)
    if data.sha256 or data.name == "folder":
        return False
    return verify(data.name, published_file(data.name, name), address, path)


def _check_received(data: config.Data, origin: str, new: Path, is_read: bool) -> Source:
    """The list of the files in `new`, after data.sha256, and after they were read if need be."""
    source = list_source(new, data.name, "scikit-learn" if data.name == "digits" else origin)
    is_folder = not is_url(origin) and local_path(origin).is_dir()
    if len(source.files) > 1 or (data.name == "folder" and is_folder):
        what, found = "the sha256 of its list of files", source.sha256
    else:
        what, found = "its sha256", source.files[0].sha256
    if data.sha256 and data.sha256 != found:
        raise UserError(f"{origin}: {what} should be {data.sha256}, but is {found}")
    if not is_read:
        with naming_origin(new / "files", origin):
            read_index(data.name, new / "files")
        if data.name not in ("folder", "digits") and not data.sha256:
            log.warning(
                "%s: no digest is published for this form of %s, so none was checked; its number "
                "of images and the range of its labels are right",
                *(origin, data.name),
            )
    return source
