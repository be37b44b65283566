"""Read the files of a folder or an archive, one after the other.

Nothing is extracted to disk: an archive is read as a stream, and a member that is a symbolic
link, a device, or outside the archive's folder fails with an error that names it. So a hostile
archive can neither write nor read another file. The links of a folder are its owner's: they
are followed.
"""

import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from alexnet.data.file_kinds import describe
from alexnet.data.images import is_system_file
from alexnet.data.members import ArchiveMember, checked_path, not_a_file_error
from alexnet.data.tar_archive import walk_tar
from alexnet.data.zip_archive import walk_zip
from alexnet.errors import UserError

MAX_MEMBERS = 2_000_000  # ImageNet's 1.4 million are the most that this project is for
# Of archives, also of those that are not read: opening one tells its kind.
ARCHIVE_SUFFIXES = (
    *(".zip", ".tar", ".tgz", ".txz", ".tbz", ".tbz2", ".tzst", ".7z", ".rar"),
    *(f".tar.{suffix}" for suffix in ("gz", "xz", "bz2", "zst", "lz4", "lz", "z")),
)


def iter_members(root: Path, open_archives: bool = False) -> Iterator[ArchiveMember]:
    """Every file and folder in a folder, tar, tar.gz, tar.xz, tar.bz2 or zip.

    A folder is sorted by name; an archive keeps its order. open_archives: an archive in a folder
    stands for a folder of its name. Raises UserError that names the archive if it is damaged, of
    another kind or has too many members, or the member if it is a device, outside, too deep or
    too long a name, a symbolic link in an archive, or in a folder one that leads nowhere or back.
    """
    for number, member in enumerate(_walk(root, open_archives), start=1):
        if number > MAX_MEMBERS:
            raise UserError(f"{root.name}: holds more than {MAX_MEMBERS:,} files and folders")
        yield member


def _walk(root: Path, open_archives: bool) -> Iterator[ArchiveMember]:
    if root.is_dir():
        return _walk_folder(root, PurePosixPath(), open_archives, ())
    with root.open("rb") as file:
        start = file.read(512)
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return walk_zip(root)
    known = None if start[257:262] == b"ustar" else describe(start)
    if known is None:
        return walk_tar(root)
    # The archive of a self-extracting program lies behind the program.
    if start.startswith((b"MZ", b"\x7fELF", b"#!")) and zipfile.is_zipfile(root):
        return walk_zip(root)
    kind, advice = known
    raise UserError(f"{root.name} cannot be read: it is {kind}; {advice}")


def _walk_folder(
    root: Path, inside: PurePosixPath, open_archives: bool, above: tuple[os.stat_result, ...]
) -> Iterator[ArchiveMember]:
    """above: the folders around `inside`, each of which a link could lead back to."""
    status = os.stat(root / inside)
    if any(os.path.samestat(status, other) for other in above):
        raise UserError(
            f"{root.name}: {inside} is a link to a folder that it lies in; remove the link"
        )
    above_name = "" if inside == PurePosixPath() else f"{inside}/"
    for entry in sorted(os.scandir(root / inside), key=lambda entry: entry.name):
        path = checked_path(root, above_name + entry.name)
        if is_system_file(path):
            # A folder, which is not entered, counts as one.
            yield _file_member(root, path, entry, 0)
            continue
        is_folder, is_file = _follow(root, path, entry)
        if is_folder:
            yield ArchiveMember(root, path)
            yield from _walk_folder(root, path, open_archives, (*above, status))
        elif not is_file:
            raise not_a_file_error(root, path)
        elif open_archives and entry.name.lower().endswith(ARCHIVE_SUFFIXES):
            yield ArchiveMember(root, path, is_archive=True)
            for member in _walk(root / path, open_archives):
                target = member.hard_link_to and path / member.hard_link_to
                yield replace(member, path=path / member.path, hard_link_to=target)
        else:
            yield _file_member(root, path, entry, entry.stat().st_size)


def _file_member(
    root: Path, path: PurePosixPath, entry: "os.DirEntry[str]", num_bytes: int
) -> ArchiveMember:
    return ArchiveMember(root, path, num_bytes, lambda: open(entry.path, "rb"))


def _follow(root: Path, path: PurePosixPath, entry: "os.DirEntry[str]") -> tuple[bool, bool]:
    """Whether an entry is a folder and whether it is a file, or a link to one."""
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
        is_broken = entry.is_symlink() and not os.path.exists(root / path)
    except OSError:  # a circle of links
        is_broken = True
    if is_broken:
        raise UserError(
            f"{root.name}: {path} is a link to {os.readlink(root / path)}, which does not exist or "
            "leads in a circle; restore the file or remove the link"
        )
    return is_folder, is_file
