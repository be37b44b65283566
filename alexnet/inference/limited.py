"""Run a module of this package in a process of its own, with limits.

A hostile or broken file can then neither hang nor exhaust its reader, nor crash it. It is no
sandbox: a file that takes control of the process has the rights of its user.
"""

import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import Any

from alexnet.errors import UserError
from alexnet.files import shorten

MAX_REASON = 500  # characters of what a library says of a file


def run_limited(module: str, arguments: Sequence[str], seconds: int, num_bytes: int) -> Any:
    """The result for `arguments` of the function that the module gives to `print_result`.

    seconds: of processor time after its imports. num_bytes: of memory. Raises UserError with the
    reason if the function raises an exception, or the process crashes or exceeds a limit.
    """
    # -P: not a module of the current folder, which may be the one in question.
    command = [sys.executable, "-P", "-m", module, str(seconds), str(num_bytes), *arguments]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    too_long = f"takes more than {seconds} s of processor time; allow more with --timeout"
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | environment,
            timeout=30 + 4 * seconds,  # on a busy machine, and for the imports
        )
    except subprocess.TimeoutExpired:
        raise UserError(too_long) from None
    if done.returncode == -signal.SIGXCPU:
        raise UserError(too_long)
    if done.returncode < 0:
        raise UserError(f"is fatal to the process that opens it (signal {-done.returncode})")
    try:
        result = json.loads(done.stdout)
    except ValueError:
        raise UserError("ends the process that opens it without a result") from None
    if "error" in result:
        raise UserError(result["error"])
    return result["result"]


def print_result(function: Callable[..., Any]) -> None:
    """In the process that `run_limited` starts: call `function` within the limits."""
    seconds, num_bytes, *arguments = sys.argv[1:]
    _lower(resource.RLIMIT_CPU, math.ceil(time.process_time()) + int(seconds))
    _lower(resource.RLIMIT_AS, int(num_bytes))
    _lower(resource.RLIMIT_FSIZE, 0)  # no file is written
    _lower(resource.RLIMIT_CORE, 0)
    try:
        with redirect_stdout(sys.stderr):  # onnxruntime prints
            result = {"result": function(*arguments)}
    except UserError as error:
        result = {"error": str(error)}
    except MemoryError:
        result = {"error": f"takes more than {int(num_bytes):,} bytes of memory"}
    except UnicodeError:
        result = {"error": "holds names that are not UTF-8"}
    except Exception as error:  # whatever a library stumbles over
        result = {"error": shorten(f"{type(error).__name__}: {error}", MAX_REASON)}
    print(json.dumps(result))


def _lower(limit: int, value: int) -> None:
    _, hard = resource.getrlimit(limit)
    resource.setrlimit(limit, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))
