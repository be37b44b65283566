"""The digits, downloaded and preprocessed once, for the tests of what trains on them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, write_params
from tests.stages.attempts import CHECKPOINTS, SMALL


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A folder in which the digits have been downloaded and preprocessed."""
    folder = tmp_path_factory.mktemp("data")
    write_params(folder, **SMALL)
    for name in ("download", "preprocess"):
        subprocess.run(
            [sys.executable, "-m", f"stages.{name}"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return folder


@pytest.fixture
def project(data, tmp_path, monkeypatch) -> Path:
    """The same in a folder of the test's own, which is also the current one."""
    shutil.copytree(data / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALEXNET_CHECKPOINTS", str(CHECKPOINTS))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path
