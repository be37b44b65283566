"""A page of a folder in Chromium, driven by a script of Node's."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

from alexnet.live.server import served
from tests.conftest import ROOT
from tests.inference.browser import CHROMIUM

DRIVE = ROOT / "tests" / "live" / "drive.mjs"
PAGE = ROOT / "docs" / "live"  # whose locked packages drive the browser


def install_packages() -> None:
    command = ["npm", "ci", "--silent", "--ignore-scripts"]
    subprocess.run(command, cwd=PAGE, check=True, timeout=600)


def use(folder: Path, script: Path = DRIVE, **task) -> SimpleNamespace:
    """What the script saw of the page in a folder."""
    with served(folder) as url:
        done = subprocess.run(
            ["node", script, str(CHROMIUM)],
            input=json.dumps(task | {"url": url}),
            capture_output=True,
            text=True,
            timeout=600,
        )
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(**json.loads(done.stdout))
