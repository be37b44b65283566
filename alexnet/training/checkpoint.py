"""Checkpoints: from them an interrupted training resumes as if nothing had happened.

They lie outside the stage's outputs, in a folder named after the run key: everything that
decides the run's bytes (parameters, data, code, hardware). A run with another key finds
nothing there. The latest two are kept, each with its SHA-256 beside it; they are removed
when the run is complete.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from alexnet.errors import UserError
from alexnet.files import atomic_write, sha256, write_json, write_text

NUM_KEPT = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A run between two steps: tensors by name, and what JSON can hold."""

    step: int  # optimizer steps taken
    tensors: dict[str, Tensor]
    progress: dict[str, Any]


def checkpoint_root() -> Path:
    """The folder of all runs' checkpoints: $ALEXNET_CHECKPOINTS, or one in the user's cache.

    Raises UserError for a user without a home directory.
    """
    if chosen := os.environ.get("ALEXNET_CHECKPOINTS"):
        return Path(chosen)
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        raise UserError(
            f"user {os.getuid()} has no home directory for checkpoints; set HOME, or "
            "ALEXNET_CHECKPOINTS to a folder"
        ) from None
    return Path(cache) / "alexnet" / "checkpoints"


class Checkpoints:
    """The checkpoints of one run, which `run_key` identifies: all that its bytes depend on."""

    def __init__(self, root: Path, run_key: Mapping[str, Any]) -> None:
        """Raises UserError if another process trains the same run, or the folder cannot be made."""
        text = json.dumps(run_key, sort_keys=True)
        self.folder = root / hashlib.sha256(text.encode()).hexdigest()[:16]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise UserError(
                f"checkpoints cannot be kept: {error}; set ALEXNET_CHECKPOINTS to another folder"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise UserError(
                f"another process is training this very run (it locks {self.folder}); "
                "wait for it or stop it"
            ) from None
        for temporary in self.folder.glob(".*.tmp"):
            temporary.unlink()
        write_json(self.folder / "run.json", run_key)  # for people who find the folder

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then remove all but the latest two.

        Raises OSError if it cannot be written; the earlier ones are then untouched.
        """
        path = self.folder / f"step-{checkpoint.step:09}.safetensors"
        with atomic_write(path) as temporary:
            try:
                progress = json.dumps(checkpoint.progress)
                save_file(checkpoint.tensors, temporary, metadata={"progress": progress})
            except SafetensorError as error:  # the library's name for a full disk, too
                raise OSError(f"{path} could not be written: {error}") from None
            digest = sha256(temporary)
        write_text(path.with_suffix(".sha256"), digest + "\n")
        for old in self._paths()[NUM_KEPT:]:
            self._discard(old)

    def load_latest(self) -> Checkpoint | None:
        """The latest checkpoint whose digest is right; None if there is none.

        Others are removed, a damaged one with a warning: if they stayed, they would count as
        the latest two, and `save` would remove intact ones in their stead.
        """
        for path in self._paths():
            digest = path.with_suffix(".sha256")
            if not digest.exists():  # interrupted between the two files
                self._discard(path)
                continue
            # As bytes: a damaged digest need not be text.
            if digest.read_bytes().strip() != sha256(path).encode():
                logger.warning("checkpoint %s is damaged (wrong SHA-256) and not used", path)
                self._discard(path)
                continue
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                progress = json.loads(file.metadata()["progress"])
            return Checkpoint(int(path.stem.removeprefix("step-")), tensors, progress)
        return None

    def remove(self) -> None:
        """Delete them all: the run is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def close(self) -> None:
        self._lock.close()

    def _discard(self, path: Path) -> None:
        path.with_suffix(".sha256").unlink(missing_ok=True)  # first: without it the other is unused
        path.unlink()

    def _paths(self) -> list[Path]:
        """Latest first."""
        return sorted(self.folder.glob("step-*.safetensors"), reverse=True)


def hardware_fingerprint(device: torch.device, world_size: int) -> dict[str, Any]:
    """What of the hardware and of PyTorch decides how sums are rounded."""
    if device.type == "cuda":
        name, threads = torch.cuda.get_device_name(device), 0
    else:
        name, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return {
        "torch": torch.__version__,
        "device": name,
        "threads": threads,
        "world_size": world_size,
    }


def hash_files(paths: Sequence[Path], root: Path) -> str:
    """One SHA-256 over the names (relative to `root`) and the contents of files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.relative_to(root)} {sha256(path)}\n".encode())
    return digest.hexdigest()
