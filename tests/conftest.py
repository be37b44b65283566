"""Fixtures: real images, a small data set on disk, and the commands."""

import functools
import gc
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

# Before torch is imported, here and in the commands that tests start: two pytest processes
# with a thread for each core would slow each other down.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# cuBLAS reads it when it starts: what deterministic algorithms need on a GPU.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
# onnxruntime finds it when it is imported, in tests and in what they start.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# Test the code of this checkout, not that of a container image.
os.environ["STAGE_RUNTIME"] = "host"
# Under nohup it is ignored, in the commands that tests start as well.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

import pytest
import torch
from ruamel.yaml import YAML

from alexnet import config
from alexnet.network.weights import ModelMetadata
from alexnet.training.checkpoint import Checkpoints

ROOT = Path(__file__).parents[1]
CLASSES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
# Colour images of 32x32 pixels.
METADATA = ModelMetadata("cifar", CLASSES, 32, mean=(0.5, 0.4, 0.3), std=(0.25, 0.2, 0.3))

STAGES = ("pretrained", "download", "preprocess", "train", "profile", "evaluate", "gate", "repeat")
STAGES += ("plot", "export")

Run = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not torch.cuda.is_available():
        skip = pytest.mark.skip(reason="needs a CUDA GPU")
        for item in items:
            if "gpu" in item.keywords:
                item.add_marker(skip)


@pytest.fixture
def params() -> config.Params:
    """The project's own params.yaml."""
    return config.load(ROOT / "params.yaml")


@pytest.fixture
def metadata() -> ModelMetadata:
    return METADATA


@functools.cache
def real_digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Real images: scikit-learn's 1,797 digits, uint8 (N, 32, 32, 3), and labels int64 (N)."""
    from sklearn.datasets import load_digits

    scans = load_digits()
    pixels = torch.from_numpy(scans.images * 255 / 16).round().to(torch.uint8)
    images = pixels.repeat_interleave(4, 1).repeat_interleave(4, 2)[..., None].expand(-1, -1, -1, 3)
    return images.contiguous(), torch.from_numpy(scans.target).long()


@pytest.fixture(scope="session")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    return real_digits()


@pytest.fixture
def tinted_digits(digits):
    """Real images with colours: their channels and sides differ."""
    tints = torch.tensor([1.0, 0.8, 0.3]) * torch.linspace(0.5, 1, 32)[:, None, None]
    return ((digits[0][:300] * tints) + torch.tensor([0.0, 20.0, 60.0])).clamp(0, 255).byte()


@pytest.fixture(scope="session")
def artifact(tmp_path_factory) -> Path:
    """A small exported artifact; tests that change it copy it first."""
    from tests.artifacts import export_small

    return export_small(tmp_path_factory.mktemp("small") / "artifacts")


@pytest.fixture
def checkpoints(tmp_path):
    checkpoints = Checkpoints(tmp_path, {"seed": 0})
    yield checkpoints
    checkpoints.close()


def write_params(folder: Path, **changes: object) -> None:
    """params.yaml of the digits demo in `folder`, with changes given as section__key=value."""
    yaml = YAML()
    values = yaml.load(ROOT / "demo" / "params.yaml")
    for name, value in changes.items():
        section, key = name.split("__")
        values[section][key] = value
    yaml.dump(values, folder / "params.yaml")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a tool of `alexnet` or a stage as its user would, in `tmp_path`; never raises.

    By default in a fork of this process, which has imported torch already; `fresh=True` starts
    Python anew.
    """

    def run(*arguments: object, fresh: bool = False) -> subprocess.CompletedProcess[str]:
        name, *rest = map(str, arguments)
        command = [f"stages.{name}", *rest] if name in STAGES else ["alexnet.cli.main", name, *rest]
        if not fresh:
            return run_in_fork(command, tmp_path)
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


def run_in_fork(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """`python -m COMMAND` in `folder`, without the seconds that Python's imports take."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if not pid:
            # A session of onnxruntime would wait for its threads, which a fork does not have.
            gc.freeze()
            code = 1
            try:
                code = _become(command, folder, out.fileno(), err.fileno())
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(command, code, *texts)


def _become(command: list[str], folder: Path, out: int, err: int) -> int:
    """Run the module in this process, a child, and return its exit code."""
    os.chdir(folder)
    os.environ["COLUMNS"] = "100"
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdin, sys.argv = open(os.devnull), command  # noqa: SIM115 (until the process ends)
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
    code: object = 0
    try:
        sys.modules.pop(command[0], None)  # runpy would warn of it
        runpy.run_module(command[0], run_name="__main__")
    except SystemExit as done:
        code = done.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code
