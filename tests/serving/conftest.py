"""Fixtures of the server's tests."""

import os
import subprocess
import sys

import pytest

from alexnet.inference import Predictor
from tests.conftest import ROOT
from tests.serving.servers import serving


@pytest.fixture(scope="session")
def predictor(artifact):
    return Predictor(artifact)


@pytest.fixture(scope="session")
def server(artifact):
    with serving(artifact) as server:
        yield server


@pytest.fixture(scope="session")
def run_module():
    """A tool in a process that has nothing of pytest's, its logging among others."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "alexnet.cli.main", *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )

    return run
