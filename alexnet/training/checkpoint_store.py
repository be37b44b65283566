"""The folders of checkpoints on the disk: whose they are, how far each run came, which may go.

Each run has a folder, named after its key: a digest of all that decides the run's bytes. In it are

- `run.json`: the key, the project that runs it, and its number of steps;
- `lock`, which is held while it trains;
- `step-N.safetensors`, each with its SHA-256 in a file beside it; `step-N-final` is the last one;
- `complete.json`, once the results are written.

No module that is imported here needs torch.
"""

import fcntl
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from alexnet.errors import UserError
from alexnet.files import sha256

LOCK, RUN, COMPLETE = "lock", "run.json", "complete.json"
FINAL = "-final"
STEP = re.compile(rf"step-(\d+)({FINAL})?")  # the name of a checkpoint, without its suffix
# By so much a training waits for a lock that a listing or a removal may hold for a moment.
LOCK_SECONDS = 0.5
DAY_SECONDS = 86400.0
COMPLETE_DAYS = 30.0  # after which a complete run's checkpoint goes, recorded or not

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A run's folder, as it was found."""

    folder: Path
    key: Mapping[str, Any]
    project: Path
    num_steps: int  # in all; 0: unknown
    step: int  # of its latest checkpoint; 0: it has none
    num_bytes: int
    written: float  # when the latest checkpoint was, in seconds since 1970
    is_running: bool
    weights_md5: str | None  # of a complete run

    @property
    def state(self) -> str:
        if self.is_running:
            return "running"
        return "complete" if self.weights_md5 else "interrupted"

    @property
    def age_seconds(self) -> float:
        """Since the latest checkpoint; 0 where the clock has been set back since."""
        return max(0.0, time.time() - self.written)


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


def folder_name(key: Mapping[str, Any]) -> str:
    text = json.dumps(key, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digests(paths: Sequence[Path], root: Path) -> dict[str, str]:
    """The SHA-256 of each file, by its name relative to `root`."""
    return {path.relative_to(root).as_posix(): sha256(path) for path in sorted(paths)}


def lock_folder(folder: Path) -> IO[str] | None:
    """Make a run's folder and lock it; None if another process holds it. Raises OSError."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / LOCK).open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_still_there(file):
                    return file
            except BaseException:
                file.close()
                raise
            file.close()
        except (BlockingIOError, FileNotFoundError) as error:
            if time.monotonic() > deadline:
                if isinstance(error, BlockingIOError):
                    return None
                raise
            time.sleep(LOCK_SECONDS / 20)


def checkpoint_paths(folder: Path) -> list[Path]:
    """The checkpoints in a run's folder, latest first."""
    paths = (path for path in folder.glob("step-*.safetensors") if STEP.fullmatch(path.stem))
    return sorted(paths, key=lambda path: path.stem, reverse=True)


def digest_path(checkpoint: Path) -> Path:
    """The file beside it with its SHA-256, which is written last."""
    return checkpoint.with_suffix(".sha256")


def step_of(checkpoint: Path) -> int:
    found = STEP.fullmatch(checkpoint.stem)
    assert found, f"{checkpoint} is no checkpoint"
    return int(found[1])


def latest_step(folder: Path) -> int:
    """Of the checkpoints that are completely written; 0: there is none."""
    steps = (step_of(path) for path in checkpoint_paths(folder) if digest_path(path).exists())
    return next(steps, 0)


def read_run(folder: Path) -> Run:
    """Raises ValueError or OSError if the folder is not a run's."""
    if folder.is_symlink() or not folder.is_dir():
        raise ValueError("it is no folder")
    values = json.loads((folder / RUN).read_bytes())
    try:
        key, project, num_steps = values["key"], Path(values["project"]), int(values["num_steps"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{RUN} has another form ({error})") from None
    if folder_name(key) != folder.name:
        raise ValueError(f"{RUN} is damaged, or another folder's")
    try:
        md5 = str(json.loads((folder / COMPLETE).read_bytes())["weights_md5"])
    except (OSError, ValueError, KeyError, TypeError):
        md5 = None
    paths = [path for path in checkpoint_paths(folder) if digest_path(path).exists()]
    return Run(
        folder,
        key,
        project,
        num_steps,
        step=step_of(paths[0]) if paths else 0,
        num_bytes=sum(_size(path) for path in _own_files(folder)),
        written=(paths[0] if paths else folder / RUN).stat().st_mtime,
        is_running=_is_locked(folder),
        weights_md5=md5,
    )


def find_runs(root: Path) -> tuple[list[Run], list[str]]:
    """The runs under `root`, latest first, and why other entries are left alone, a line each."""
    runs, others = [], []
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        try:
            runs.append(read_run(folder))
        except (OSError, ValueError) as error:
            others.append(f"{folder} is left alone, as it is not a run's: {error}")
    return sorted(runs, key=lambda run: run.written, reverse=True), others


def remove_run(folder: Path, only_complete: bool = False) -> bool:
    """Remove a run's checkpoints; False if it is running, or not complete. Raises OSError.

    Whatever else lies in the folder stays, and the folder with it.
    """
    with (folder / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not _is_still_there(lock):
            return False
        if only_complete and not (folder / COMPLETE).exists():
            return False  # since it was found, it has started again and was interrupted
        remove_files(folder)
    return True


def remove_files(folder: Path) -> None:
    """The files of a run that this process has locked, the lock last: until then nobody starts."""
    for path in [*_own_files(folder), folder / COMPLETE, folder / RUN, folder / LOCK]:
        path.unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def remove_recorded(root: Path, project: Path, recorded: Collection[str]) -> list[Path]:
    """Remove what is not needed any more; returns the folders.

    These are the complete runs of the project whose weights are among `recorded`, the MD5 digests
    in its dvc.lock; and any complete run after COMPLETE_DAYS. Never one that is running or not
    complete, and nothing that is not a run's. What cannot be removed is a warning.
    """
    removed: list[Path] = []
    try:
        runs, _ = find_runs(root)
    except OSError as error:
        logger.warning("checkpoints are not cleared: %s", error)
        return removed
    for run in runs:
        is_recorded = run.project == project and run.weights_md5 in recorded
        is_old = run.age_seconds > COMPLETE_DAYS * DAY_SECONDS
        if run.state != "complete" or not (is_recorded or is_old):
            continue
        try:
            if remove_run(run.folder, only_complete=True):
                removed.append(run.folder)
        except OSError as error:
            logger.warning("a checkpoint that is not needed any more stays: %s", error)
    return removed


def temporary_files(folder: Path) -> list[Path]:
    """What interrupted writes have left: `.NAME.tmp` of ours, `.tmpXXXXXX` of safetensors."""
    return [*folder.glob(".*.tmp"), *folder.glob(".tmp*")]


def _own_files(folder: Path) -> Iterator[Path]:
    """Checkpoints, their digests, and what is temporary."""
    yield from temporary_files(folder)
    for path in folder.glob("step-*"):
        if path.suffix in (".safetensors", ".sha256") and STEP.fullmatch(path.stem):
            yield path


def _is_still_there(lock: IO[str]) -> bool:
    """Or another process has removed it with its folder, before it was locked here."""
    try:
        return os.path.samestat(os.fstat(lock.fileno()), os.stat(lock.name))
    except FileNotFoundError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a running training has removed it meanwhile
        return 0


def _is_locked(folder: Path) -> bool:
    try:
        lock = (folder / LOCK).open()
    except FileNotFoundError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
