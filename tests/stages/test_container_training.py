"""Training in the image: compiled on a GPU, and in two processes: `pytest -m container -n 0`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, write_params
from tests.cuda.null_gpu.build import CACHE, CannotBuild, environment
from tests.engines import ENGINE, TRAIN_IMAGE, needs
from tests.stages.attempts import SMALL, TRAIN

SHORT = SMALL | TRAIN | {"train__epochs": 1, "train__batch_size": 120}
TESTS = Path("/opt/tests")  # in the container


pytestmark = needs(TRAIN_IMAGE)


def train(project: Path, *command: str, options: tuple[str, ...] = ()) -> tuple[str, str]:
    """Run a command on a project in a container without a network; return what it printed."""
    result = subprocess.run(
        [
            *(ENGINE, "run", "--rm", "--network=none", "--shm-size=2g"),
            *(f"--user={os.getuid()}:{os.getgid()}", f"--volume={project}:/project"),
            *(*options, TRAIN_IMAGE, *command),
        ],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout, result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("python", "-m", "stages.train"),
        (
            *("torchrun", "--standalone", "--local-addr=127.0.0.1", "--nproc-per-node=2"),
            *("-m", "stages.train"),
        ),
    ],
    ids=["the command", "torchrun"],
)
def test_two_processes_train_without_a_network(command, project):
    write_params(project, **SHORT, train__num_processes=2)
    log, _ = train(project, *command)
    assert "2 processes" in log
    assert (project / "models/weights.safetensors").exists()


# On the null GPU, whose stubs are built outside for the same torch


@pytest.fixture
def on_the_null_gpu(project) -> tuple[Path, tuple[str, ...], list[str]]:
    """A project, the container's options and its variables."""
    gpu = {"train__device": "cuda", "train__precision": "bf16", "train__batch_size": 32}
    write_params(project, **SHORT | gpu)
    try:
        variables = environment(sys.executable, CACHE)
    except CannotBuild as error:
        pytest.skip(f"no null GPU: {error}")
    built = Path(variables["LD_PRELOAD"]).parent
    for name in ("LD_PRELOAD", "LD_LIBRARY_PATH", "TRITON_LIBCUDA_PATH"):
        variables[name] = variables[name].split(os.pathsep)[0].replace(str(built), "/opt/null-gpu")
    # alexnet and the stages are those of the image.
    variables |= {"TRITON_CACHE_DIR": "/project/kernels"}
    variables["PYTHONPATH"] = f"{TESTS}:/opt/alexnet/pipeline"
    mounts = {built: "/opt/null-gpu", ROOT / "tests": TESTS / "tests"}
    mounts[ROOT / "params.yaml"] = TESTS / "params.yaml"
    options = tuple(f"--volume={place}:{name}:ro" for place, name in mounts.items())
    return project, options, [f"{name}={value}" for name, value in variables.items()]


PROGRAM = ("python", "-m", "tests.cuda.programs.stages", "train")


def test_a_training_is_compiled_in_the_image(on_the_null_gpu):
    project, options, variables = on_the_null_gpu
    log, errors = train(project, "env", *variables, *PROGRAM, options=options)
    assert errors == ""
    (found,) = json.loads(log.splitlines()[-1]).values()
    assert found["violations"] == []
    assert found["graphs"] >= 1
    assert list(project.glob("kernels/*/*.cubin"))


def test_without_a_compiler_a_training_says_so_and_runs(on_the_null_gpu):
    project, options, variables = on_the_null_gpu
    variables.append("PATH=/opt/alexnet/bin")
    log, errors = train(project, "env", *variables, *PROGRAM, options=options)
    (line,) = errors.splitlines()
    assert line.startswith("warning: training runs uncompiled, which is slower: there is no C comp")
    assert line.endswith("needs gcc, libc6-dev and python3-dev (as Debian and Ubuntu name them)")
    (found,) = json.loads(log.splitlines()[-1]).values()
    assert found["violations"] == []
    assert not list(project.glob("kernels/*/*.cubin"))
