"""Damaged outputs, in the workspace and in DVC's cache, and the commands that mend them.

DVC takes a file in its cache that is read-only for an intact one: it checks a damaged one out,
pushes it, and finds everything up to date.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path

from stages.runtime.dvc_files import Out, cache_folder, md5_of, object_in, read_listing

MAX_LISTED = 10


def explain_damage(out: Out, wrong: Mapping[Path, str | None]) -> str:
    """What is wrong with files of an output in the workspace, and how to mend it.

    wrong: {path: its digest in dvc.lock, None if it is no part of the output}
    """
    found = {path: _describe_copy(path, md5, out) for path, md5 in wrong.items()}
    lines = [line for line, _ in found.values()]
    if len(lines) > MAX_LISTED:
        lines[MAX_LISTED:] = [f"and {len(lines) - MAX_LISTED} more files"]
    copies = [copy for _, copy in found.values() if copy is not None]
    remove = shlex.join(["rm", "-rf", *map(str, [*wrong, *(c for c in copies if c.exists())])])
    if copies:
        again = f"dvc repro {out.stage}    # or, if a remote has it: dvc pull {out.path}"
    else:
        again = f"dvc checkout {out.path}"
    return "\n".join([*lines, "These commands mend it:", f"  {remove}", f"  {again}"])


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
    remove = list(map(str, damaged.values()))
    if out.path.exists() and md5_of(out.path) == out.md5:
        again = f"dvc commit --force {out.stage}"  # the workspace has it
    else:
        remove += [str(path) for path in damaged if path.exists()]
        again = f"dvc repro {out.stage}    # or, if a remote has it: dvc pull {out.path}"
    return "\n".join(
        [*lines, "These commands mend it:", f"  {shlex.join(['rm', '-rf', *remove])}", f"  {again}"]
    )
