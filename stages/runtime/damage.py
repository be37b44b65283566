"""Damaged outputs, in the workspace and in DVC's cache, and the commands that mend them.

DVC takes a file in its cache that is read-only for an intact one: it checks a damaged one out,
pushes it, and finds everything up to date.
"""

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from stages import paths
from stages.runtime.dvc_files import Out, cache_folder, md5_of, object_in, read_listing

MAX_LISTED = 10


def explain_damage(out: Out, wrong: Mapping[Path, str | None]) -> str:
    """What is wrong with files of an output in the workspace, and how to mend it.

    wrong: {path: its digest in dvc.lock, None if it is no part of the output}
    """
    found = {path: _describe_copy(path, md5, out) for path, md5 in wrong.items()}
    lines = [line for line, _ in found.values()]
    if len(lines) > MAX_LISTED:
        lines[MAX_LISTED:] = [f"and {len(lines) - MAX_LISTED:,} more files"]
    here = wrong if len(wrong) <= MAX_LISTED else [out.path]
    copies = [copy for _, copy in found.values() if copy is not None]
    if not copies:
        return _with_cure(lines, here, f"dvc checkout {out.path}")
    return _with_cure(lines, [*here, *filter(Path.exists, copies)], _make_again(out))


def _describe_copy(path: Path, md5: str | None, out: Out) -> tuple[str, Path | None]:
    """(a line about a file, its copy in the cache if that is missing or damaged)."""
    if md5 is None:
        return f"{path} is no part of {out.path}, as {out.stage} wrote it (dvc.lock)", None
    line = f"{path} is not what {out.stage} wrote (dvc.lock)"
    copy = object_in(cache_folder(), md5)
    if not copy.exists():
        return f"{line}, and DVC's cache has no copy of it", copy
    if is_damaged(copy, md5):
        return f"{line}, and its copy in DVC's cache, {copy}, is damaged as well", copy
    return f"{line}; its copy in DVC's cache is intact", None


def is_damaged(copy: Path, md5: str) -> bool:
    return md5_of(copy) != md5.removesuffix(".dir")


def damaged_copies(out: Out) -> dict[Path, Path]:
    """The damaged files in DVC's cache that belong to an output: {path in the workspace: copy}."""
    digests = {out.path: out.md5}
    if out.md5.endswith(".dir"):
        listing = read_listing(out.md5) or {}
        digests |= {out.path / path: md5 for path, md5 in listing.items()}
    copies = {path: object_in(cache_folder(), md5) for path, md5 in digests.items()}
    return {
        path: copy
        for path, copy in copies.items()
        if copy.exists() and is_damaged(copy, digests[path])
    }


def explain_damaged_copies(out: Out, damaged: Mapping[Path, Path]) -> str:
    """Names the damaged files in the cache, and the commands that mend them."""
    lines = [
        f"{copy} in DVC's cache, the copy of {path}, is damaged" for path, copy in damaged.items()
    ]
    if out.path.exists() and md5_of(out.path) == out.md5:  # the workspace has it
        return _with_cure(lines, damaged.values(), f"dvc commit --force {out.stage}")
    here = [path for path in damaged if path.exists()]
    return _with_cure(lines, [*damaged.values(), *here], _make_again(out))


def _make_again(out: Out) -> str:
    return f"dvc repro {out.stage}    # or, if a remote has it: dvc pull {out.stage}"


def _with_cure(lines: Iterable[str], remove: Iterable[Path], again: str) -> str:
    names = list(map(str, remove))
    if str(paths.RAW / "source.json") in names:
        # Without this list of them, download takes the files for a person's, and keeps them.
        names.append(str(paths.RAW / "files"))
    return "\n".join(
        [*lines, "These commands mend it:", f"  {shlex.join(['rm', '-rf', *names])}", f"  {again}"]
    )
