"""The command of each stage in dvc.yaml: run it here or in a container."""

import logging
import os
import sys
import uuid
from pathlib import Path
from typing import Annotated

import typer

from alexnet.cli.app import run
from alexnet.files import sha256
from stages import paths
from stages.params import load
from stages.runtime.engine import PROJECT, check_writable, print_hint, resolve_runtime
from stages.runtime.supervise import supervise

logger = logging.getLogger("stages.runtime.runner")


def runner(
    stage: Annotated[str, typer.Argument(help="The stage: its module's name in stages/.")],
) -> None:
    """Run a stage on the host or in a container, by STAGE_RUNTIME."""
    module = f"stages.{stage}"
    engine, reason = resolve_runtime(os.environ.get("STAGE_RUNTIME") or "auto")
    print(f"{stage}: {reason}", file=sys.stderr, flush=True)
    if engine is None:
        sys.exit(supervise([sys.executable, "-m", module]))
    folder = Path.cwd()
    check_writable(folder)
    if engine.lock and paths.LOCK.exists() and engine.lock != sha256(paths.LOCK):
        logger.warning("the image was built from another %s; `make image` renews it", paths.LOCK)
    mounts = local_sources(folder) if stage == "download" else {}
    name = f"alexnet-{stage}-{uuid.uuid4().hex[:8]}"
    command = ["python", "-m", module]
    code = supervise(engine.command(command, folder, mounts, name, stage == "download"))
    if code:  # its client may have been killed, and not the container
        engine.remove(name)
        print_hint(engine, code)
    sys.exit(code)


def local_sources(folder: Path) -> dict[str, str]:
    """The files and folders that data.source names on this machine, for mounting.

    {path here: path in the container}; a relative path is relative to the project in both.
    """
    mounts = {}
    for source in load(paths.PARAMS).data.sources:
        if "://" not in source and (folder / source).exists():
            mounts[str((folder / source).resolve())] = os.path.normpath(Path(PROJECT) / source)
    return mounts


if __name__ == "__main__":
    run(runner)
