"""The DVC process that runs this stage: the stage ends with it, and does not start without it.

DVC passes neither its process id nor signals to a stage. But while it runs one, it holds a lock on
what the stage reads and writes, and `.dvc/tmp/rwlock` names the holder: the one among them that is
an ancestor of this process is the DVC that runs it. Its parent may be another, a shell that
stands between the two, or whoever has adopted this process after DVC's death.
"""

import json
import os
import select
import time
from collections.abc import Iterator
from pathlib import Path

from alexnet.errors import UserError

RETRIES = 20  # DVC overwrites the file in place, under a lock of its own
RETRY_SECONDS = 0.05


class DvcProcess:
    """The DVC that runs this stage, also after its process id has gone to another process."""

    def __init__(self, pid: int) -> None:
        self.descriptor = os.pidfd_open(pid)

    def require_alive(self) -> None:
        """Raises UserError if DVC has ended."""
        if select.select([self.descriptor], [], [], 0)[0]:
            raise UserError(GONE)


GONE = (
    "the DVC that started this stage has ended, so the stage does not start: beside another "
    "`dvc repro` it would write the same files. Run `dvc repro` again"
)


def find_dvc() -> DvcProcess | None:
    """The DVC that runs this stage; None if it was not DVC that started it.

    Raises UserError if DVC has ended already.
    """
    if "DVC_STAGE" not in os.environ:
        return None
    holders = lock_holders()
    for pid in _ancestors():
        if pid in holders:
            try:
                process = DvcProcess(pid)
            except ProcessLookupError:
                break
            if pid in _ancestors():  # else another process has its id by now
                return process
    raise UserError(GONE)


def lock_holders() -> set[int]:
    """The processes that hold a lock on files of this project, by its file; some may be dead."""
    here = Path.cwd()
    # Not $DVC_ROOT: in the folder of an experiment that names the project it was started from.
    folders = [folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()]
    if not folders:
        raise UserError(f"DVC_STAGE is set, but {here} is in no DVC project; unset it")
    path = folders[0] / ".dvc/tmp/rwlock"
    for _ in range(RETRIES):
        try:
            locks = json.loads(path.read_text())
            readers = [info for infos in locks.get("read", {}).values() for info in infos]
            return {info["pid"] for info in (*locks.get("write", {}).values(), *readers)}
        except FileNotFoundError:
            return set()
        except ValueError:  # half written
            time.sleep(RETRY_SECONDS)
    raise UserError(f"{path} is damaged; remove it if no DVC runs, then run `dvc repro` again")


def _ancestors() -> Iterator[int]:
    """The process ids of the parent, its parent and so on."""
    pid = os.getppid()
    while pid:
        yield pid
        try:
            status = Path(f"/proc/{pid}/stat").read_text()
        except OSError:  # it has ended meanwhile
            return
        # The name before it is in brackets and may hold anything, brackets included.
        pid = int(status.rpartition(")")[2].split()[1])
