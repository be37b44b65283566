"""A fixture that runs programs on the null GPU.

$ALEXNET_CUDA_PYTHON names another Python than that of the tests, whose torch is then used
(such as the oldest that the project supports):

    ALEXNET_CUDA_PYTHON=/path/to/python pytest -m slow tests/cuda
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.cuda.null_gpu.build import CannotBuild, environment

NullGPU = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def null_gpu(pytestconfig, tmp_path_factory) -> NullGPU:
    """Run a program of tests/cuda/programs on the null GPU; return the JSON that it prints.

    Compiled code is kept for the session, or in $TORCHINDUCTOR_CACHE_DIR.
    """
    python = os.environ.get("ALEXNET_CUDA_PYTHON", sys.executable)
    try:
        found = environment(python, pytestconfig.cache.mkdir("null-gpu"))
    except CannotBuild as error:
        pytest.skip(f"no null GPU: {error}")
    compiled = tmp_path_factory.mktemp("compiled")
    found |= {"TORCHINDUCTOR_CACHE_DIR": str(compiled), "TRITON_CACHE_DIR": str(compiled)}

    def run(program: str, *arguments: Any, cwd: Path = ROOT, **variables: str) -> dict[str, Any]:
        texts = [a if isinstance(a, str) else json.dumps(a) for a in arguments]
        result = subprocess.run(
            [python, "-m", f"tests.cuda.programs.{program}", *texts],
            cwd=cwd,
            env=found | os.environ | {name: found[name] for name in FIXED} | variables,
            capture_output=True,
            text=True,
            timeout=550,
        )
        assert result.returncode == 0, result.stderr[-5000:]
        return json.loads(result.stdout.splitlines()[-1])

    return run


# What the stubs need, whatever the user's environment says.
FIXED = ("LD_PRELOAD", "LD_LIBRARY_PATH", "TRITON_LIBCUDA_PATH", "PYTHONPATH")
