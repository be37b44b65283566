"""The digits, downloaded and preprocessed once, for the tests of training on them."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, write_params
from tests.stages.attempts import CHECKPOINTS, SMALL
from tests.stages.projects import call


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A folder with the preprocessed digits in data/."""
    folder = tmp_path_factory.mktemp("data")
    write_params(folder, **SMALL)
    for name in ("download", "preprocess"):
        call(folder, sys.executable, "-m", f"stages.{name}")
    return folder


@pytest.fixture
def project(data, tmp_path, monkeypatch) -> Path:
    """The same in a folder of the test's own, which is also the current one."""
    shutil.copytree(data / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALEXNET_CHECKPOINTS", str(CHECKPOINTS))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path
