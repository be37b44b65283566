"""What a container needs of the machine beside the project: what links in the project lead to.

The project has another path in the container, where a link with an absolute target, as those of
DVC into its cache, leads to nothing. Its target is mounted where the link says. The project is the
current directory; no library is imported.
"""

import csv
import io
import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from stages.runtime.recover import OUTPUTS

PROJECT = Path("/project")  # the project's folder in the container, the same for every stage
HOME = Path("/tmp")  # in the image, whoever the user is
CHECKPOINTS = ".checkpoints"  # of a stage in a container, in the project's folder
COMPILED = ".cache"  # beside them, what the compiler has made for a GPU
FOLDERS = (*OUTPUTS, "data/raw", "data/processed", "runs", CHECKPOINTS, COMPILED)
DVC_FOLDERS = (".dvc/cache", ".dvc/tmp")
IN_CACHE = re.compile(r"(/.+)/files/md5/[0-9a-f]{2}/[0-9a-f]{30}")


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine at a path of the container."""

    source: Path
    target: Path
    writable: bool = False

    def option(self) -> str:
        """The engines' option; its value is a line of CSV, so that a path may have a comma."""
        fields = ["type=bind", f"source={self.source}", f"target={self.target}"]
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([*fields, *["readonly"] * (not self.writable)])
        return f"--mount={line.getvalue()}"


def mounted(text: str, base: Path = PROJECT, writable: bool = False) -> Iterator[Mount]:
    """What a path, relative to the container's folder `base`, names here: mounted where it leads.

    None if nothing is there, or if it is in the project, and so in the container.
    """
    here = Path(os.path.relpath(base, PROJECT) if base.is_relative_to(PROJECT) else base, text)
    there = Path(os.path.normpath(base / text))
    if here.exists() and not there.is_relative_to(PROJECT):
        yield Mount(here.resolve(), there, writable)


def source_mounts(sources: Iterable[str]) -> list[Mount]:
    """The files and folders of this machine among these, but what the container has as it is.

    A relative path is relative to the project, here and in the container.
    """
    mounts = []
    for source in sources:
        here = Path(os.path.expanduser(source))
        if "://" not in source and here.exists():
            there = HOME / source[2:] if source.startswith("~/") else PROJECT / source
            mounts.append(Mount(here.resolve(), Path(os.path.normpath(there))))
    # A mount in the project could not be replaced, as models/weights.safetensors is.
    project = Path.cwd()
    return [it for it in mounts if it.source != project / os.path.relpath(it.target, PROJECT)]


def unique(mounts: Iterable[Mount]) -> list[Mount]:
    """One for each target, of which engines take no second; writable if one of them is."""
    found: dict[Path, Mount] = {}
    for mount in mounts:
        if mount.target not in found or mount.writable:
            found[mount.target] = mount
    return list(found.values())


def linked_folders(names: Iterable[str]) -> Iterator[Mount]:
    """Those that are links, as to a larger disk."""
    for path in filter(Path.is_symlink, map(Path, names)):
        yield from mounted(os.readlink(path), PROJECT / path.parent, writable=True)


def linked_caches() -> Iterator[Mount]:
    """The caches that outputs are links into, as with DVC's `cache.type symlink`."""
    for folder in filter(os.path.isdir, [*OUTPUTS, *filter(os.path.islink, FOLDERS)]):
        for cache in _caches_in(folder):
            yield from mounted(cache)


def _caches_in(folder: str) -> Iterator[str]:
    with os.scandir(folder) as found:
        entries = list(found)
    targets = (os.readlink(entry) for entry in entries if entry.is_symlink())
    # DVC links the files of a folder alike, and there may be a million: one of them tells.
    if match := next(filter(None, map(IN_CACHE.fullmatch, targets)), None):
        yield match[1]
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _caches_in(entry.path)


def git_folder(writable: bool) -> Iterator[Mount]:
    """Git's folder of a worktree, whose `.git` is a file that names it."""
    if common := _common_folder():
        yield from mounted(common, writable=writable)


def _common_folder() -> str:
    """What a worktree shares with others, as it is named there; empty if this is none."""
    pointer = Path(".git")
    if not pointer.is_file():
        return ""
    own = pointer.read_text().strip().removeprefix("gitdir: ")
    common = Path(own, "commondir")
    return os.path.normpath(Path(own, common.read_text().strip())) if common.is_file() else ""


def revision() -> str:
    """The revision where git's folder is out of the container's reach; empty where it is not.

    That is a submodule's (it names its files by their path here), and that of a repository of
    which the project is a folder. Its form is that of `git describe --dirty`.
    """
    if Path(".git").is_dir() or _common_folder():
        return ""
    head = _git("rev-parse", "HEAD")
    if not head or head.returncode:
        return ""
    changed = _git("diff", "--quiet", "HEAD", "--", ":(top)", ":(top,exclude,glob)**/dvc.lock")
    return head.stdout.strip() + ("-dirty" if changed and changed.returncode else "")


def _git(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        return None
