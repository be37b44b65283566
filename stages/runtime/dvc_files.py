"""What DVC knows of a project: dvc.yaml, dvc.lock, its digests and its cache.

DVC itself is not imported: that takes longer than many a stage.
"""

import functools
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from alexnet.errors import UserError

PIPELINE = Path("dvc.yaml")
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


def declared(stage: str) -> Declared:
    """What dvc.yaml declares for a stage, named as in DVC_STAGE. Raises UserError without it."""
    name = stage.rpartition(":")[2]
    try:
        values = _load(PIPELINE)["stages"][name]
    except KeyError:
        raise UserError(f"{PIPELINE} has no stage {name}") from None
    params, deps = values.get("params", []), values.get("deps", [])
    others = [file for entry in params if isinstance(entry, dict) for file in entry]
    return Declared(
        [entry for entry in params if isinstance(entry, str)], list(map(Path, [*deps, *others]))
    )


def recorded_outs() -> list[Out]:
    """Every output in dvc.lock that DVC caches; none without dvc.lock."""
    stages = _load(LOCK).get("stages", {}) if LOCK.exists() else {}
    return [
        Out(stage, Path(out["path"]), out["md5"])
        for stage, values in stages.items()
        for out in values.get("outs", [])
        if "md5" in out
    ]


def _load(path: Path) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None


def files_in(path: Path) -> list[Path]:
    """The files that DVC sees at `path`: that file, or those in that folder, sorted."""
    if not path.is_dir():
        return [path]
    lines = IGNORED.read_text(encoding="utf-8").splitlines() if IGNORED.exists() else []
    ignored = GitIgnoreSpec.from_lines([*ALWAYS_IGNORED, *lines])
    found = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sorted(file for file in found if not ignored.match_file(file))


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


@functools.cache
def _cache_folder_of(project: Path) -> Path:
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
    folder = Path(done.stdout.strip())
    return folder.relative_to(project) if folder.is_relative_to(project) else folder
