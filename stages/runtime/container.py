"""container: one command of the project in a container; by default, what `make repro` runs.

Needs an engine, the image and Python's standard library: no package is installed here.
"""

import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

from alexnet.cli.output import guard_output
from alexnet.errors import UserError
from stages.runtime.dvc_config import DvcConfig
from stages.runtime.engine import (
    Engine,
    check_writable,
    print_hint,
    warn_of_unloaded_gpu,
)
from stages.runtime.mounts import source_mounts
from stages.runtime.recover import recover
from stages.runtime.resolve import resolve_runtime
from stages.runtime.supervise import supervise

PARAMS = Path("params.yaml")
REPRO = "dvc repro && python -m stages.gate --check"
KEYS = ("source", "start_from")  # that may name files of this machine, in params.yaml


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
    mounts = source_mounts(_sources(engine))
    name = _new_name()
    code = supervise(engine.command(command, name, True, mounts, DvcConfig()))
    if code:
        engine.remove(name)
        print_hint(engine, code)
    return code


def _sources(engine: Engine) -> list[str]:
    """What params.yaml names, as the image reads it. Exits with its code if it cannot."""
    text = PARAMS.read_text(errors="replace") if PARAMS.exists() else None
    # null, the default, is written as no value; a list or a long name begins in the next line.
    unset = (
        rf"(?m)^( +){key}: *(null|~)? *(#.*)?$(?!(\n *(#.*)?)*\n\1( +[^ #]|- ))" for key in KEYS
    )
    if text is None or all(re.search(pattern, text) for pattern in unset):
        return []
    name = _new_name()
    line = engine.command(["python", "-m", "stages.runtime.sources"], name)
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        engine.remove(name)
        print_hint(engine, done.returncode)
        sys.exit(done.returncode)
    named: list[str] = json.loads(done.stdout)
    return named


def _new_name() -> str:
    return f"alexnet-{uuid.uuid4().hex[:8]}"


if __name__ == "__main__":
    guard_output()
    try:
        sys.exit(container(sys.argv[1:] or ["sh", "-c", REPRO]))
    except UserError as error:
        sys.exit(f"error: {error}")
