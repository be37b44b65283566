"""stop: end what DVC runs in this project, as soon as training has written its checkpoint.

A runner that cancels a job in a container ends the client of `docker exec`, and no process in the
container gets a signal. The next steps still run, and then the container is killed.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import psutil  # type: ignore[import-untyped]
import typer

from alexnet.cli.app import run
from alexnet.errors import UserError
from alexnet.training.checkpoint_store import checkpoint_root, find_runs

LOOK_SECONDS = 0.2


def stop(
    seconds: Annotated[float, typer.Option(min=0, help="How long to wait for the end.")] = 200,
) -> None:
    """Send SIGTERM to every DVC of this project; wait until it and its stage have ended.

    A stage ends with its DVC (stages.runtime.supervise), training after a checkpoint. Raises
    UserError if a process is still there after `seconds`.
    """
    found = list(_dvcs())
    if not found:
        print("stop: DVC does not run here")
        return
    processes = {each for process in found for each in _family(process)}
    for process in found:
        print(f"stop: SIGTERM to process {process.pid}, {' '.join(process.cmdline()[1:])}")
        process.terminate()
    start = time.monotonic()
    while alive := [process for process in processes if _runs(process)]:
        if time.monotonic() - start > seconds:
            raise UserError(
                f"{len(alive)} processes still run after {seconds:g} s, {alive[0].pid} among them; "
                "training will resume from the checkpoint before"
            )
        time.sleep(LOOK_SECONDS)
    print(f"stop: {len(processes)} processes ended after {time.monotonic() - start:.0f} s")
    for each in find_runs(checkpoint_root())[0]:
        if each.project == Path.cwd() and not each.weights_md5 and each.step:
            print(f"stop: the next run resumes after step {each.step:,} of {each.num_steps:,}")


def _dvcs() -> Iterable[psutil.Process]:
    """The DVC processes that work in the current directory, but none above this process."""
    own = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    for process in psutil.process_iter():
        try:
            line, folder = process.cmdline(), process.cwd()
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if _is_dvc(line) and folder == os.getcwd() and process.pid not in own:
            yield process


def _is_dvc(line: list[str]) -> bool:
    """Whether a command line is `dvc ...`, `python .../dvc ...` or `python -m dvc ...`."""
    names = [Path(word).name for word in line[:3]]
    if names[:1] and names[0].startswith("python"):
        names = names[2:] if names[1:2] == ["-m"] else names[1:]
    return names[:1] == ["dvc"]


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running()) and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    run(stop)
