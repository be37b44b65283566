"""What a stage reads: it is what the stages before wrote, and stays so while the stage runs.

DVC records the parameters and files that it finds after a stage, not those that the stage read.
"""

import hashlib
import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from alexnet import config
from alexnet.errors import UserError
from alexnet.nested import dotted_keys
from stages import paths
from stages.runtime.damage import explain_damage
from stages.runtime.dvc_files import Out, declared, files_in, md5_of, read_listing, recorded_outs

LOOK_SHARE = 0.01  # of the time may go into looking: a folder of a million files takes seconds
MAX_LISTED = 10

logger = logging.getLogger("stages.runtime.snapshot")


class Inputs:
    """The parameters and files that dvc.yaml declares for a stage, as they were at its start.

    params_sha256: of the bytes of params.yaml. digests: DVC's, of each file.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._declared = declared(stage)
        content = config.read(paths.PARAMS).encode()
        self.params_sha256 = hashlib.sha256(content).hexdigest()
        self._params = self._newest_params = content, self._tracked(content)
        # A file is read again only if its identity is another than when it was last read.
        self._known: dict[Path, tuple[tuple[int, ...], str]] = {}
        self.digests = self._hash_files()
        self._reported: list[str] = []
        self._next_look = 0.0

    def check_intact(self) -> None:
        """Raises UserError if a file is not what the stage before wrote, by dvc.lock."""
        for out in recorded_outs():
            if wrong := self._differing(out):
                raise UserError(explain_damage(out, wrong))

    def changes(self) -> list[str]:
        """What is now another than at the start: parameters with both values, names of files."""
        before, now = self._params[1], self._current_params()
        changes = [
            f"{key}: {_text(before, key)} at the start, {_text(now, key)} now"
            for key in sorted(before.keys() | now.keys())
            if before.get(key) != now.get(key) or (key in before) != (key in now)
        ]
        old, new = self.digests, self._hash_files()
        differing = (path for path in old.keys() | new.keys() if old.get(path) != new.get(path))
        changes += map(str, sorted(differing))
        if len(changes) > MAX_LISTED:
            changes[MAX_LISTED:] = [f"and {len(changes) - MAX_LISTED} more"]
        return changes

    def warn_of_changes(self) -> None:
        """Log a warning once something is another than at the start; cheap, to be repeated."""
        start = time.monotonic()
        if start < self._next_look:
            return
        try:
            found = self.changes()
        # A file is just being replaced, .dvcignore edited; no reason to stop a training.
        except (OSError, ValueError):
            return
        if found and found != self._reported:
            logger.warning(
                "changed while %s runs: %s. Put it back, or the result will not be recorded",
                *(self.stage, "; ".join(found)),
            )
        self._reported = found
        seconds = time.monotonic() - start
        self._next_look = start + seconds / LOOK_SHARE

    def require_unchanged(self) -> None:
        """Raises UserError if something is another than at the start."""
        if found := self.changes():
            kept = (
                "; with the old ones put back, it takes up the finished run from its checkpoint"
                if self.stage == "train"
                else ""
            )
            raise UserError(
                f"while {self.stage} ran, this was changed: {'; '.join(found)}. The result belongs "
                "to the values at the start, and DVC would record the present ones for it: it is "
                f"not recorded. `dvc repro` runs {self.stage} with the present values{kept}"
            )

    def _current_params(self) -> dict[str, Any]:
        content = paths.PARAMS.read_bytes() if paths.PARAMS.exists() else b""
        if content != self._newest_params[0]:
            self._newest_params = content, self._tracked(content)
        return self._newest_params[1]

    def _tracked(self, content: bytes) -> dict[str, Any]:
        """The declared parameters by dotted key; none if that is no valid file of parameters."""
        try:
            values = dict(dotted_keys(YAML(typ="safe", pure=True).load(content.decode())))
        except Exception:  # in the middle of an edit; ruamel raises many types
            return {}
        sections = [f"{key}." for key in self._declared.params]
        return {
            key: value
            for key, value in values.items()
            if any(f"{key}.".startswith(section) for section in sections)
        }

    def _hash_files(self) -> dict[Path, str]:
        found = {}
        for path in (file for dep in self._declared.deps for file in files_in(dep)):
            try:
                status = path.stat()
                # The change time too: a modification time can be set back.
                times = status.st_mtime_ns, status.st_ctime_ns
                identity = (status.st_ino, status.st_size, *times)
                if path not in self._known or self._known[path][0] != identity:
                    self._known[path] = identity, md5_of(path)
            except FileNotFoundError:
                continue
            found[path] = self._known[path][1]
        return found

    def _differing(self, out: Out) -> dict[Path, str | None]:
        """What the stage reads of an output and is another than recorded: {path: its digest}."""
        deps = self._declared.deps
        if not _is_in(out.path, deps) and not any(_is_in(dep, [out.path]) for dep in deps):
            return {}
        found = {path: md5 for path, md5 in self.digests.items() if _is_in(path, [out.path])}
        if not out.md5.endswith(".dir"):
            expected = {out.path: out.md5}
        elif (listing := read_listing(out.md5)) is not None:
            every = {out.path / path: md5 for path, md5 in listing.items()}
            expected = {path: md5 for path, md5 in every.items() if _is_in(path, deps)}
        else:  # nobody knows the digest of a single file
            return {} if md5_of(out.path) == out.md5 else {out.path: out.md5}
        names = found.keys() | expected.keys()
        wrong = sorted(name for name in names if found.get(name) != expected.get(name))
        return {name: expected.get(name) for name in wrong}


def _text(params: Mapping[str, Any], key: str) -> str:
    return repr(params[key]) if key in params else "missing"


def _is_in(path: Path, places: Iterable[Path]) -> bool:
    return any(path.is_relative_to(place) for place in places)
