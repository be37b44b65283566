"""container: a command of the project in one container, `dvc repro` if no other is named.

Needs an engine and the image, and of Python nothing but itself: no package is installed
on the machine.
"""

import os
import sys
import uuid
from pathlib import Path

from alexnet.errors import UserError
from stages.runtime.engine import ENGINES, Engine, check_writable, detect_engine, print_hint
from stages.runtime.supervise import supervise


def container(command: list[str]) -> int:
    """Run it, and end the container whatever happens to its client; returns its exit code."""
    folder = Path.cwd()
    check_writable(folder)
    engine = choose(os.environ.get("STAGE_RUNTIME", ""))
    print(f"in {engine.name}, image {engine.image}", file=sys.stderr, flush=True)
    name = f"alexnet-{uuid.uuid4().hex[:8]}"
    # DVC tells a lock whose holder is gone by the number of its process, which has to mean
    # the same here and in the container.
    code = supervise(engine.command(command, folder, {}, name, network=True, share_pids=True))
    if code:
        engine.remove(name)
        print_hint(engine, code)
    return code


def choose(wanted: str) -> Engine:
    """The engine that STAGE_RUNTIME names, or the first that can. Raises UserError if none can."""
    missing = []
    for name in (wanted,) if wanted in ENGINES else ENGINES:
        try:
            return detect_engine(name)
        except UserError as error:
            missing.append(str(error))
    raise UserError("; ".join(missing))


if __name__ == "__main__":
    try:
        sys.exit(container(sys.argv[1:] or ["dvc", "repro"]))
    except UserError as error:
        sys.exit(f"error: {error}")
