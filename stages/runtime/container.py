"""container: one command of the project in a container; `dvc repro` by default.

Needs an engine, the image and Python's standard library: no package is installed here.
"""

import os
import sys
import uuid
from pathlib import Path

from alexnet.cli.output import guard_output
from alexnet.errors import UserError
from stages.runtime.dvc_config import DvcConfig
from stages.runtime.engine import (
    check_writable,
    print_hint,
    warn_of_unloaded_gpu,
)
from stages.runtime.recover import recover
from stages.runtime.resolve import resolve_runtime
from stages.runtime.supervise import supervise


def container(command: list[str]) -> int:
    """Run the command in a container; returns its exit code.

    The container ends even if its client is killed.
    """
    check_writable(Path.cwd())
    recover()
    engine, reason = resolve_runtime(os.environ.get("STAGE_RUNTIME", ""), host_allowed=False)
    assert engine, "the host is not allowed"
    print(reason, file=sys.stderr, flush=True)
    warn_of_unloaded_gpu()
    name = f"alexnet-{uuid.uuid4().hex[:8]}"
    code = supervise(engine.command(command, name, network=True, dvc=DvcConfig()))
    if code:
        engine.remove(name)
        print_hint(engine, code)
    return code


if __name__ == "__main__":
    guard_output()
    try:
        sys.exit(container(sys.argv[1:] or ["dvc", "repro"]))
    except UserError as error:
        sys.exit(f"error: {error}")
