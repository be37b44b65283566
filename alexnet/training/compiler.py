"""Whether a GPU's training can be compiled here: Triton needs a C compiler where it runs."""

import importlib.util
import logging
import os
import shutil
import subprocess
import sysconfig

import torch

from alexnet.training.distributed import DistributedContext

PACKAGES = "torch.compile needs gcc, libc6-dev and python3-dev (as Debian and Ubuntu name them)"

logger = logging.getLogger(__name__)


def can_compile(device: torch.device, distributed: DistributedContext) -> bool:
    """Whether `torch.compile` works on the device, for each of the processes; else say why not.

    The answer is the same in all of them: two kinds of code would round differently. On a CPU
    nothing is compiled.
    """
    if device.type != "cuda":
        return False
    obstacle = find_obstacle()
    obstacles = distributed.all_gather(torch.tensor(int(bool(obstacle))))
    if not obstacles.any():
        return True
    if not obstacle:
        ranks = obstacles.nonzero().flatten().tolist()
        obstacle = f"process {', '.join(map(str, ranks))}, on another host, cannot compile"
    logger.warning(f"training runs uncompiled, which is slower: {obstacle}")
    return False


def find_obstacle() -> str:
    """What keeps Triton from working on the GPU here; empty if nothing does.

    Triton builds its driver with a C compiler against Python's header, and some versions a
    launcher for each kernel as well (triton/runtime/build.py). So the compiler is tried even
    where a driver was built before (a tenth of a second). The driver itself is taken from Triton's
    cache, or built, which also shows that the cache can be written and libcuda is found.
    """
    if importlib.util.find_spec("triton") is None:
        return "Triton is not installed"
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")
    if not compiler:
        no_compiler = (
            "there is no C compiler (CC is not set, and neither gcc nor clang is on the PATH)"
        )
        return f"{no_compiler}; {PACKAGES}"
    headers = sysconfig.get_paths(scheme="posix_prefix")["include"]
    command = [compiler, "-fsyntax-only", f"-I{headers}", "-x", "c", "-"]
    try:
        tried = subprocess.run(command, input="#include <Python.h>", capture_output=True, text=True)
    except OSError as error:
        return f"the C compiler does not start: {error}; {PACKAGES}"
    if tried.returncode:
        return f"{compiler} cannot compile for Python: {_find_message(tried.stderr)}; {PACKAGES}"
    from triton.runtime import driver  # type: ignore[import-untyped]

    try:
        driver.active  # noqa: B018 (it is built when it is asked for)
    except Exception as error:  # each part of it raises errors of its own
        return f"Triton's driver cannot be built: {_find_message(str(error))}"
    return ""


def _find_message(text: str) -> str:
    """The first line that says error, else the first line."""
    lines = text.strip().splitlines() or ["no reason is given"]
    return next((line for line in lines if "error" in line.lower()), lines[0]).strip()
