"""The docs site, built once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def build(folder: Path, root: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build the site of a checkout into a folder."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={folder}"]
    environment = os.environ | environment
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder
