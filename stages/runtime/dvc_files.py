"""What DVC knows of a project: dvc.yaml, dvc.lock, its digests and its cache.

DVC itself is not imported: that takes longer than many a stage.
"""

import functools
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec
from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from alexnet.errors import UserError

PIPELINE = Path("dvc.yaml")
PARAMS = "params.yaml"  # whose keys stand without its name, or in a list under it
LOCK = Path("dvc.lock")
IGNORED = Path(".dvcignore")
ALWAYS_IGNORED = (".hg/", ".git", ".dvc/")


@dataclass(frozen=True)
class Declared:
    """What a stage reads: keys of params.yaml, files and folders."""

    params: list[str]
    deps: list[Path]


@dataclass(frozen=True)
class Out:
    """An output in dvc.lock. `md5`: its digest, which for a folder ends in `.dir`."""

    stage: str
    path: Path
    md5: str


@dataclass(frozen=True)
class Entry:
    """A file or folder in dvc.lock."""

    path: str
    md5: str | None = None  # None in a stage that has not been recorded as a whole


@dataclass(frozen=True)
class LockedStage:
    """A stage in dvc.lock, as it was last run."""

    deps: list[Entry] = field(default_factory=list)
    outs: list[Entry] = field(default_factory=list)


def declared(stage: str) -> Declared:
    """What dvc.yaml declares for a stage, named as in DVC_STAGE. Raises UserError without it."""
    name = stage.rpartition(":")[2]
    if name not in (stages := _pipeline()):
        raise UserError(f"{PIPELINE} has no stage {name}")
    params, deps = stages[name].get("params", []), stages[name].get("deps", [])
    files = [entry if isinstance(entry, dict) else {PARAMS: [entry]} for entry in params]
    keys = [key for each in files for key in each.get(PARAMS, [])]
    others = [file for each in files for file in each if file != PARAMS]
    return Declared(keys, list(map(Path, [*deps, *others])))


def recorded_outs() -> list[Out]:
    """The outputs in dvc.lock; none without dvc.lock.

    DVC leaves there what a stage that was renamed or removed has written, by another one now.
    """
    stages = parse_lock(LOCK.read_bytes()) if LOCK.exists() else {}
    return [
        out
        for name, values in _pipeline().items()
        for out in outs_of(name, stages.get(name, LockedStage()))
        if out.path in _declared_outs(values)
    ]


def outs_of(name: str, stage: LockedStage) -> list[Out]:
    """The outputs of the stage of that name that have been recorded."""
    return [Out(name, Path(out.path), out.md5) for out in stage.outs if out.md5 is not None]


def parse_lock(content: bytes | str) -> dict[str, LockedStage]:
    """The stages in a dvc.lock. Raises UserError if it is damaged."""
    try:
        values = _parse(content) or {}
        return TypeAdapter(dict[str, LockedStage]).validate_python(values.get("stages", {}))
    except (YAMLError, AttributeError, ValidationError):
        raise UserError(
            f"{LOCK} is damaged, or has a merge conflict; put it back with git, then run "
            "`dvc repro`"
        ) from None


def parse_added(content: bytes | str, name: str) -> LockedStage:
    """A .dvc file, as `dvc add` writes it beside what it tracks. Raises UserError if it is damaged.

    name: its own, for the message.
    """
    try:
        return TypeAdapter(LockedStage).validate_python(_parse(content))
    except (YAMLError, ValidationError):
        raise UserError(f"{name} is damaged, or has a merge conflict; `dvc add` it again") from None


def _pipeline() -> dict[str, Any]:
    """The stages in dvc.yaml."""
    try:
        values: dict[str, Any] = _parse(PIPELINE.read_bytes())["stages"]
    except (YAMLError, KeyError, TypeError) as error:
        raise UserError(f"{PIPELINE} is no valid pipeline: {error}") from None
    return values


def _declared_outs(stage: Mapping[str, Any]) -> set[Path]:
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    names = [[entry] if isinstance(entry, str) else entry for entry in entries]
    return {Path(name) for several in names for name in several}


def _parse(content: bytes | str) -> Any:
    return YAML(typ="safe", pure=True).load(content)


def files_in(path: Path) -> Iterator[Path]:
    """The files that DVC sees at `path`: that file, or those in that folder."""
    if not path.is_dir():
        yield path
        return
    lines = IGNORED.read_text(encoding="utf-8").splitlines() if IGNORED.exists() else []
    ignored = GitIgnoreSpec.from_lines([*ALWAYS_IGNORED, *lines])
    for folder, _, names in os.walk(path):
        files = (os.path.join(folder, name) for name in names)
        yield from (Path(file) for file in files if not ignored.match_file(file))


def md5_of(path: Path) -> str:
    """The digest that DVC gives a file or, with `.dir` at its end, a folder."""
    if path.is_dir():
        return md5_of_folder({file.relative_to(path): md5_of(file) for file in files_in(path)})
    with path.open("rb") as file:
        return hashlib.file_digest(file, _md5).hexdigest()


def md5_of_folder(digests: Mapping[Path, str]) -> str:
    """The digest that DVC gives a folder with these files: {path in the folder: its digest}."""
    names = {path.as_posix(): digest for path, digest in digests.items()}
    listing = [{"md5": names[name], "relpath": name} for name in sorted(names)]
    return _md5(json.dumps(listing).encode()).hexdigest() + ".dir"


def _md5(content: bytes = b"") -> "hashlib._Hash":
    return hashlib.md5(content, usedforsecurity=False)


def read_listing(md5: str) -> dict[Path, str] | None:
    """The digest of each file of a folder, by its path in the folder.

    None if DVC's cache has no intact list of the folder with this digest.
    """
    for folder in (_default_cache, cache_folder):
        path = object_in(folder(), md5)
        # Whatever has this digest is the list, wherever it lies: most times DVC need not be asked.
        if path.is_file() and md5_of(path) == md5.removesuffix(".dir"):
            entries = json.loads(path.read_text(encoding="utf-8"))
            return {Path(entry["relpath"]): entry["md5"] for entry in entries}
    return None


def object_in(cache: Path, md5: str) -> Path:
    """Where a cache keeps the file or the list of a folder with this digest."""
    return cache / "files/md5" / md5[:2] / md5[2:]


def _default_cache() -> Path:
    return Path(".dvc/cache")


def cache_folder() -> Path:
    """The folder of DVC's cache, which its configuration may name."""
    return _cache_folder_of(Path.cwd())


def dvc_command() -> list[str]:
    return [sys.executable, "-m", "dvc"] if find_spec("dvc") else ["dvc"]  # pipx has its own Python


@functools.cache
def _cache_folder_of(project: Path) -> Path:
    try:
        done = subprocess.run(
            [*dvc_command(), "cache", "dir"],
            cwd=project,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(
            f"DVC does not say where its cache is: {error}; put it on the PATH"
        ) from None
    folder = Path(done.stdout.strip())
    return folder.relative_to(project) if folder.is_relative_to(project) else folder
