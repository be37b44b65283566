"""Checkpoints: what an interrupted training needs to go on as if nothing had happened.

They lie outside the stage's outputs, in a folder named after everything that decides the
run's bytes: the parameters, the data, the code, and the kind of machine. A run with
anything else finds nothing there. Two are kept, each with its digest beside it; they
are removed when the run is complete.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
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


@dataclass(frozen=True)
class State:
    """A run between two steps: tensors by name, and facts that JSON can hold."""

    step: int  # how many steps have been taken
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def checkpoint_root() -> Path:
    """Where checkpoints of all runs lie: $ALEXNET_CHECKPOINTS, or in the user's cache.

    Raises UserError for a user who has no home.
    """
    if chosen := os.environ.get("ALEXNET_CHECKPOINTS"):
        return Path(chosen)
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        raise UserError(
            f"the user {os.getuid()} has no home to keep checkpoints in; set HOME, or "
            "ALEXNET_CHECKPOINTS to a folder"
        ) from None
    return Path(cache) / "alexnet" / "checkpoints"


class Checkpoints:
    """The checkpoints of one run, which `decides` names: all that its bytes depend on."""

    def __init__(self, scratch: Path, run_key: Mapping[str, Any]) -> None:
        """Raises UserError if another process is in the middle of the same run, or the
        folder cannot be made."""
        text = json.dumps(run_key, sort_keys=True)
        self.folder = scratch / hashlib.sha256(text.encode()).hexdigest()[:16]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = (self.folder / "lock").open("w")
        except OSError as error:
            raise UserError(
                f"no checkpoints can be kept: {error}; set ALEXNET_CHECKPOINTS to another folder"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise UserError(
                f"another process is in the middle of this very run (it holds {self.folder}); "
                "wait for it or stop it"
            ) from None
        for left_over in self.folder.glob(".*.tmp"):
            left_over.unlink()
        write_json(self.folder / "run.json", run_key)  # for people who find the folder

    def save(self, state: State) -> None:
        """Write a checkpoint, then remove all but the newest two.

        Raises OSError if it cannot be written; the older ones are then untouched.
        """
        path = self.folder / f"step-{state.step:09}.safetensors"
        with atomic_write(path) as temporary:
            try:
                save_file(state.tensors, temporary, metadata={"facts": json.dumps(state.facts)})
            except SafetensorError as error:  # its own name for a full disk
                raise OSError(f"{path} could not be written: {error}") from None
            digest = sha256(temporary)
        write_text(path.with_suffix(".sha256"), digest + "\n")
        for old in self._paths()[NUM_KEPT:]:
            self._discard(old)

    def load_latest(self, say: Callable[[str], None]) -> State | None:
        """The newest checkpoint that is whole.

        Others are removed, a damaged one not in silence: were they kept, they would
        count as the newest two, and `save` would remove whole ones in their stead.
        """
        for path in self._paths():
            digest = path.with_suffix(".sha256")
            if not digest.exists():  # interrupted between the two files
                self._discard(path)
                continue
            # As bytes: where the digest itself is damaged, it need not be text.
            if digest.read_bytes().strip() != sha256(path).encode():
                say(f"checkpoint {path} is damaged (its SHA-256 is wrong): it is not used")
                self._discard(path)
                continue
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                facts = json.loads(file.metadata()["facts"])
            return State(int(path.stem.removeprefix("step-")), tensors, facts)
        return None

    def remove(self) -> None:
        """The run is complete: nothing will be taken up again."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def close(self) -> None:
        self._lock.close()

    def _discard(self, path: Path) -> None:
        path.with_suffix(".sha256").unlink(missing_ok=True)  # first: alone, the other is not used
        path.unlink()

    def _paths(self) -> list[Path]:
        """Newest first."""
        return sorted(self.folder.glob("step-*.safetensors"), reverse=True)


def hardware_fingerprint(device: torch.device, num_processes: int) -> dict[str, Any]:
    """What of the machine decides how sums are rounded."""
    if device.type == "cuda":
        name, threads = torch.cuda.get_device_name(device), 0
    else:
        name, threads = torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()
    return {
        "torch": torch.__version__,
        "device": name,
        "threads": threads,
        "num_processes": num_processes,
    }


def hash_files(paths: list[Path]) -> str:
    """One SHA-256 over the names and contents of files."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(f"{path.name} {sha256(path)}\n".encode())
    return digest.hexdigest()
