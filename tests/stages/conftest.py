"""The preprocessed digits for the tests of training, and fake container engines."""

import shutil
import stat
import sys
from pathlib import Path

import pytest

from stages.runtime.resolve import IMAGE
from tests.conftest import ROOT, write_params
from tests.stages.attempts import CHECKPOINTS, SMALL
from tests.stages.projects import call


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A folder with what train reads: the preprocessed digits, and no weights to start from."""
    folder = tmp_path_factory.mktemp("data")
    write_params(folder, **SMALL)
    for name in ("pretrained", "download", "preprocess"):
        call(folder, sys.executable, "-m", f"stages.{name}")
    return folder


@pytest.fixture
def project(data, tmp_path, monkeypatch) -> Path:
    """The same in a folder of the test's own, which is also the current one."""
    for name in ("data", "models"):
        shutil.copytree(data / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALEXNET_CHECKPOINTS", str(CHECKPOINTS))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


# An engine that logs its calls.
FAKE = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    print(json.dumps(sys.argv[1:]), file=log)
if sys.argv[1] == "version" and {broken!r}:
    sys.exit("Cannot connect\\nIs the service running?")
if sys.argv[1] == "version":
    print({version!r})
if sys.argv[1] == "context":
    print({host!r})
if sys.argv[1:3] == ["image", "inspect"]:
    if {image!r} != sys.argv[-1]:
        sys.exit("no such image")
    print("sha256:abc", {environment!r})
if sys.argv[1] == "info":
    print({info!r})
if sys.argv[-1] == "stages.runtime.sources":
    os.execv(sys.executable, [sys.executable, "-m", "stages.runtime.sources"])
sys.exit({code} if sys.argv[1] == "run" else 0)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a fake engine on a machine that has no other."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    ours = ("ALEXNET_IMAGE", "ALEXNET_IN_CONTAINER", "STAGE_RUNTIME", "DVC_STAGE")
    for name in (*ours, "DOCKER_HOST", "CONTAINER_HOST", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)

    def install(
        name: str,
        image: str = IMAGE,
        broken: bool = False,
        code: int = 0,
        info: str = "false",
        environment: str = "[PATH=/bin]",
        version: str = "",
        host: str = "unix:///var/run/docker.sock",
    ) -> Path:
        log = tmp_path / f"{name}.log"
        values = {"python": sys.executable, "log": str(log), "broken": broken}
        values |= {"info": info, "environment": environment, "version": version, "host": host}
        (folder / name).write_text(FAKE.format(**values, image=image, code=code))
        (folder / name).chmod(stat.S_IRWXU)
        return log

    return install
