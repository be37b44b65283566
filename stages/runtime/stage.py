"""Run a stage as its command does, on the host or in a container.

Under DVC, what the stage reads is checked before it starts, and while it runs.
"""

import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from alexnet.errors import UserError
from alexnet.training.checkpoint_store import checkpoint_root, remove_recorded
from stages import paths
from stages.params import load
from stages.runtime.dvc_files import recorded_outs
from stages.runtime.dvc_process import DvcProcess
from stages.runtime.engine import (
    PARAMS_SHA256,
    Engine,
    check_writable,
    print_hint,
    warn_of_unloaded_gpu,
)
from stages.runtime.killed import count_oom_kills, explain_kill
from stages.runtime.mounts import CHECKPOINTS, PROJECT, Mount, source_mounts
from stages.runtime.resolve import resolve_runtime
from stages.runtime.revision import fetched, split_revision
from stages.runtime.snapshot import Inputs
from stages.runtime.sources import start_origins
from stages.runtime.supervise import supervise

logger = logging.getLogger("stages.runtime.stage")
KILLED = 128 + signal.SIGKILL


def command_under(dvc: DvcProcess | None) -> Callable[[str], None]:
    """The command line of the runner, which DVC runs; None: which somebody else does."""

    def runner(
        stage: Annotated[str, typer.Argument(help="The stage: its module's name in stages/.")],
    ) -> None:
        """Run a stage on the host or in a container, by STAGE_RUNTIME."""
        sys.exit(run_stage(stage, dvc))

    return runner


def run_stage(stage: str, dvc: DvcProcess | None) -> int:
    """Run a stage to its end; returns its exit code.

    Raises UserError if it cannot run, if what it reads is damaged, and if that was changed while
    it ran: DVC would then record something else than the stage has read.
    """
    engine, reason = resolve_runtime(os.environ.get("STAGE_RUNTIME", ""))
    print(f"{stage}: {reason}", file=sys.stderr, flush=True)
    inputs = Inputs(os.environ["DVC_STAGE"]) if dvc else None
    if inputs:
        inputs.check_intact()
        _clear_checkpoints(engine)
        os.environ[PARAMS_SHA256] = inputs.params_sha256
    look = inputs.warn_of_changes if inputs else None
    oom_kills = count_oom_kills()
    with fetched(_start_from(stage)):
        if engine is None:
            code = supervise([sys.executable, "-m", f"stages.{stage}"], dvc, look)
        else:
            code = _run_in_container(engine, stage, dvc, look)
    if code == KILLED:
        logger.error(explain_kill(stage, oom_kills))
    if code == 0 and inputs:
        inputs.require_unchanged()
    return code


def _start_from(stage: str) -> str | None:
    """What has to be fetched for the stage, if that is REVISION:FILE."""
    if stage != "pretrained":
        return None
    start_from = load(paths.PARAMS).model.start_from
    if split_revision(start_from):  # if it cannot be had, no earlier weights pass for it
        paths.PRETRAINED.unlink(missing_ok=True)
    return start_from


def _clear_checkpoints(engine: Engine | None) -> None:
    """Remove those of trainings whose results dvc.lock has recorded by now."""
    recorded = {out.md5 for out in recorded_outs()}
    if engine:
        remove_recorded(Path(CHECKPOINTS), PROJECT, recorded)
        return
    with suppress(UserError):  # there is no place for checkpoints, which is for train to say
        remove_recorded(checkpoint_root(), Path.cwd(), recorded)


def _run_in_container(
    engine: Engine, stage: str, dvc: DvcProcess | None, look: Callable[[], None] | None
) -> int:
    check_writable(Path.cwd())
    warn_of_unloaded_gpu()
    has_network, mounts = _reach_of(stage)
    name = f"alexnet-{stage}-{uuid.uuid4().hex[:8]}"
    command = ["python", "-m", f"stages.{stage}"]
    line = engine.command(command, name, has_network, mounts)
    code = supervise(line, dvc, look)
    if code:  # its client may have been killed, and not the container
        engine.remove(name)
        print_hint(engine, code)
    return code


def _reach_of(stage: str) -> tuple[bool, list[Mount]]:
    """Whether a stage has the network, and the files and folders of this machine that it reads."""
    if stage == "pretrained":
        model = load(paths.PARAMS).model
        return model.start_from == "imagenet", source_mounts(start_origins(model))
    return (True, local_sources()) if stage == "download" else (False, [])


def local_sources() -> list[Mount]:
    """The files and folders of this machine that data.source names."""
    return source_mounts(load(paths.PARAMS).data.sources)
