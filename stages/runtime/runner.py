"""What dvc.yaml calls: run a stage here, or in the container if it is asked to."""

import os
import sys
import uuid
from pathlib import Path
from typing import Annotated

import typer

from alexnet import config
from alexnet.cli.app import run
from alexnet.errors import UserError
from alexnet.files import sha256
from stages import paths
from stages.runtime.engine import (
    ENGINES,
    PROJECT,
    Engine,
    check_writable,
    detect_engine,
    print_hint,
)
from stages.runtime.supervise import supervise

RUNTIMES = ("auto", "host", *ENGINES)


def runner(
    stage: Annotated[str, typer.Argument(help="The stage: its module's name in stages/.")],
) -> None:
    """Run a stage on the host or in a container, as STAGE_RUNTIME says."""
    module = f"stages.{stage}"
    engine, reason = resolve_runtime(os.environ.get("STAGE_RUNTIME") or "auto")
    print(f"{stage}: {reason}", file=sys.stderr, flush=True)
    if engine is None:
        sys.exit(supervise([sys.executable, "-m", module]))
    folder = Path.cwd()
    check_writable(folder)
    if engine.lock and paths.LOCK.exists() and engine.lock != sha256(paths.LOCK):
        print(
            f"{stage}: the image was built from another {paths.LOCK}; `make image` renews it",
            file=sys.stderr,
            flush=True,
        )
    mounts = sources(folder) if stage == "download" else {}
    name = f"alexnet-{stage}-{uuid.uuid4().hex[:8]}"
    command = ["python", "-m", module]
    code = supervise(engine.command(command, folder, mounts, name, stage == "download"))
    if code:  # its client may have been killed, and not the container
        engine.remove(name)
        print_hint(engine, code)
    sys.exit(code)


def resolve_runtime(wanted: str) -> tuple[Engine | None, str]:
    """(the engine, or None for the host; why). Raises UserError if what is wanted cannot be."""
    if wanted not in RUNTIMES:
        raise UserError(f"STAGE_RUNTIME: {wanted} is none of {', '.join(RUNTIMES)}")
    if os.environ.get("ALEXNET_IN_CONTAINER"):
        return None, "in this container"
    if wanted == "host":
        return None, "on the host, as STAGE_RUNTIME says"
    if wanted in ENGINES:
        try:
            engine = detect_engine(wanted)
        except UserError as error:
            raise UserError(f"STAGE_RUNTIME={wanted}: {error}") from None
        return engine, f"in {wanted}, as STAGE_RUNTIME says, image {engine.image}"
    missing = []
    for name in ENGINES:
        try:
            engine = detect_engine(name)
        except UserError as error:
            missing.append(str(error))
        else:
            return engine, f"in {name}, which has the image {engine.image}"
    return None, f"on the host: {'; '.join(missing)}"


def sources(folder: Path) -> dict[str, str]:
    """What data.source names on this machine, to be seen at the same place in the container.

    {path here: path there}; a relative one is seen from the project.
    """
    mounts = {}
    for source in config.load(paths.PARAMS).data.sources:
        if "://" not in source and (folder / source).exists():
            mounts[str((folder / source).resolve())] = os.path.normpath(Path(PROJECT) / source)
    return mounts


if __name__ == "__main__":
    run(runner)
