"""Checkpoints: from them an interrupted training resumes as if nothing had happened.

They lie outside the stage's outputs, in a folder named after the run key: everything that
decides the run's bytes (parameters, data, code, hardware). A run with another key finds
nothing there. The latest two are kept, each with its SHA-256 beside it. The last one, of the
complete training, is kept alone, until the results are recorded (`checkpoint_store`).
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from alexnet.errors import UserError
from alexnet.files import atomic_write, sha256, write_json, write_text
from alexnet.training.checkpoint_store import (
    COMPLETE,
    FINAL,
    RUN,
    checkpoint_paths,
    digest_path,
    folder_name,
    latest_step,
    lock_folder,
    remove_files,
    step_of,
    temporary_files,
)

NUM_KEPT = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """A run between two steps: tensors by name, and what JSON can hold."""

    step: int  # optimizer steps taken
    tensors: dict[str, Tensor]
    progress: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, which `run_key` identifies: all that its bytes depend on."""

    def __init__(self, root: Path, run_key: Mapping[str, Any], num_steps: int = 0) -> None:
        """num_steps: of the whole run, for those who list it.

        The current directory is noted as the project. Raises UserError if another process trains
        the same run, or the folder cannot be used.
        """
        self.folder = root / folder_name(run_key)
        lock = None
        try:
            lock = lock_folder(self.folder)
            if lock is None:
                raise UserError(
                    f"another process is training this very run (it locks {self.folder}); "
                    "wait for it or stop it"
                )
            self._lock = lock
            for temporary in temporary_files(self.folder):
                temporary.unlink()
            # From here on it is not complete, until its results are written.
            (self.folder / COMPLETE).unlink(missing_ok=True)
            run = {"project": str(Path.cwd()), "num_steps": num_steps, "key": run_key}
            write_json(self.folder / RUN, run)
        except OSError as error:
            if lock:
                lock.close()
            raise UserError(
                f"checkpoints cannot be kept in {root}: {error}; set ALEXNET_CHECKPOINTS to "
                "another folder, or make this one writable"
            ) from None

    def save(self, checkpoint: Checkpoint, is_final: bool = False) -> None:
        """Write a checkpoint, then remove all but the latest two.

        is_final: of the complete training, after which no other one is kept. Its name differs from
        that of a checkpoint after the same step, so that this one stays intact until the end.
        Raises OSError if it cannot be written; the earlier ones are then untouched.
        """
        path = self.folder / f"step-{checkpoint.step:09}{FINAL * is_final}.safetensors"
        with atomic_write(path) as temporary:
            try:
                progress = json.dumps(checkpoint.progress)
                save_file(checkpoint.tensors, temporary, metadata={"progress": progress})
            except SafetensorError as error:  # the library's name for a full disk, too
                raise OSError(f"{path} could not be written: {error}") from None
            digest = sha256(temporary)
        write_text(digest_path(path), digest + "\n")
        for old in checkpoint_paths(self.folder)[1 if is_final else NUM_KEPT :]:
            self._discard(old)

    def load_latest(self) -> Checkpoint | None:
        """The latest checkpoint whose digest is right; None if there is none.

        Others are removed, a damaged one with a warning: if they stayed, they would count as
        the latest two, and `save` would remove intact ones in their stead.
        """
        for path in checkpoint_paths(self.folder):
            digest = digest_path(path)
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
            return Checkpoint(step_of(path), tensors, progress)
        return None

    def latest_step(self) -> int:
        """0 if there is no checkpoint."""
        return latest_step(self.folder)

    def describe_resume(self, step: int) -> str:
        """What the next start of a run does that stops after so many steps, for people."""
        latest = self.latest_step()
        if latest >= step:
            return f"run it again to resume at step {latest:,}"
        if latest:
            return f"run it again to resume at step {latest:,}: the steps after it are lost"
        return "there is no checkpoint: its steps are lost, and the next run starts over"

    def mark_complete(self, weights: Path) -> None:
        """Note that the results are written: once these weights are recorded, all this may go.

        Until then one checkpoint is enough.
        """
        with weights.open("rb") as file:  # MD5 is DVC's digest
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        try:
            for old in checkpoint_paths(self.folder)[1:]:  # of a `save` that was killed
                self._discard(old)
            write_json(self.folder / COMPLETE, {"weights_md5": md5.hexdigest()})
        except OSError as error:
            logger.warning("the checkpoint in %s stays: %s", self.folder, error)

    def remove(self) -> None:
        """Remove all of them: the run's result is stored. The folder goes with `close`."""
        for path in checkpoint_paths(self.folder):
            self._discard(path)

    def close(self) -> None:
        """Let others train this run; a folder without a checkpoint is removed."""
        if self.folder.is_dir() and not checkpoint_paths(self.folder):
            remove_files(self.folder)
        self._lock.close()

    def _discard(self, path: Path) -> None:
        digest_path(path).unlink(missing_ok=True)  # first: without it the other is unused
        path.unlink()


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
