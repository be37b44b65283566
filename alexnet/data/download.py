"""Download: fill data/raw with a data set exactly as its source gives it.

Nothing is opened here but to measure it. A file of a known data set is held to its
published size and digest, any other to data.sha256 if that is set.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files as package_files
from pathlib import Path
from urllib.parse import urlsplit

from alexnet import config, files
from alexnet.data.archive import iter_members
from alexnet.data.catalog import KNOWN, File
from alexnet.data.images import is_system_file
from alexnet.data.source import Source, list_source, write_source
from alexnet.data.transfer import NotThereError, discard_partial, fetch, is_url, partial_path
from alexnet.errors import UserError

Say = Callable[[str], None]


def download(data: config.Data, folder: Path, say: Say = print) -> None:
    """Fill `folder` with source.json and files/; what stood there goes only when all is well.

    The sources are tried in order. What has arrived of a download that breaks off
    waits in `.partial` beside the folder for the next run. Raises UserError if no
    source gives the data set, or none gives the bytes that it should have.
    """
    if data.sha256 and data.name in KNOWN and len(KNOWN[data.name].files) > 1:
        raise UserError(
            f"data.sha256: {data.name} comes in several files, each held to its published "
            "digest; set it to null"
        )
    partials = folder.parent / ".partial"
    with files.atomic_directory(folder) as new:
        source = _from_the_first_that_works(data, new, folder, say)
        write_source(new, source)
    shutil.rmtree(partials, ignore_errors=True)
    say(
        f"{data.name}: {len(source.files):,} file(s), {source.num_bytes:,} bytes "
        f"from {source.source}"
    )


def _from_the_first_that_works(data: config.Data, new: Path, folder: Path, say: Say) -> Source:
    failures: list[str] = []
    origins = _origins(data)
    for origin in origins:
        try:
            (new / "files").mkdir()
            if data.name == "folder" and not is_url(origin) and _local(origin).is_dir():
                return _copy_folder(data, origin, new, folder, say)
            return _gather(data, origin, new, folder.parent / ".partial", say)
        except UserError as error:
            shutil.rmtree(new / "files")
            failures.append(f"data.source: {error}" if data.sources else str(error))
            if origin != origins[-1]:
                say(f"{error}; trying the next source")
    raise UserError("\n".join(failures))


def _origins(data: config.Data) -> list[str]:
    """What stands in data.source, else the published addresses."""
    if not all(source.strip() for source in data.sources):
        raise UserError("data.source: is empty; give a URL or a path, or null")
    if data.sources:
        return data.sources
    if data.name == "digits":
        return [str(package_files("sklearn.datasets") / "data" / "digits.csv.gz")]
    known = KNOWN[data.name]
    if len(known.files) > 1:
        return list(known.mirrors)
    return [mirror + known.files[0].name for mirror in known.mirrors]


def _copy_folder(data: config.Data, origin: str, new: Path, folder: Path, say: Say) -> Source:
    """Copy a folder file by file; links and devices are refused by name."""
    root = _local(origin)
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
        say(f"{origin}: skipped {num_skipped} hidden or system file(s)")
    source = list_source(new, data.name, origin)
    if data.sha256 and source.sha256 != data.sha256:
        raise UserError(
            f"{origin}: the sha256 of its listing is {source.sha256}, data.sha256 {data.sha256}"
        )
    return source


def _gather(data: config.Data, origin: str, new: Path, partials: Path, say: Say) -> Source:
    """Check all files of a data set where they are, then put them in place."""
    wanted = KNOWN[data.name].files if data.name in KNOWN else (File(""),)
    several = len(wanted) > 1
    arrived: dict[str, Path] = {}
    for file in wanted:
        if data.sha256:
            file = replace(file, num_bytes=None, sha256=data.sha256)
        try:
            address = _address(origin, file.name, several)
            arrived[_file_name(address)] = _obtain(address, file, partials)
        except NotThereError as missing:
            if not several:
                raise
            plain = _address(origin, file.name.removesuffix(".gz"), several)
            try:
                arrived[_file_name(plain)] = _obtain(plain, File(plain), partials)
            except NotThereError:
                raise missing from None
            say(f"{plain}: not compressed, so no published digest to hold it to")
    for name, path in arrived.items():
        if path.parent == partials:
            path.replace(new / "files" / name)
        else:
            shutil.copyfile(path, new / "files" / name)
    return list_source(new, data.name, "scikit-learn" if data.name == "digits" else origin)


def _obtain(address: str, file: File, partials: Path) -> Path:
    """The path of a local or fetched file whose size and digest are right."""
    if is_url(address):
        path = partial_path(address, partials)
        fetch(address, path, file.num_bytes)
    else:
        path = Path(address)
        if not path.exists():
            raise NotThereError(f"{path} does not exist")
        if not path.is_file():
            raise UserError(f"{path} should be a file")
    try:
        _check(address, path, file)
    except UserError:
        if is_url(address):
            discard_partial(path)
        raise
    return path


def _check(address: str, path: Path, file: File) -> None:
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
    """Where a file is: `origin` itself, or under it if that is a folder of several."""
    if is_url(origin):
        return f"{origin.rstrip('/')}/{name}" if several else origin
    path = _local(origin)
    return str(path / name if several or path.is_dir() else path)


def _file_name(address: str) -> str:
    """The last part of a path or URL, which must not hide the file or lead elsewhere."""
    path = urlsplit(address).path if is_url(address) else address
    return path.rpartition("/")[2].lstrip(".") or "images"


def _local(origin: str) -> Path:
    return Path(origin).expanduser()
