"""A job that is cancelled: what still runs is stopped, and its processes are awaited."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ci.stop import _is_dvc
from tests.conftest import ROOT
from tests.stages.projects import wait_until

# What its signal does takes a moment, as a checkpoint does.
STAGE = """
import signal, sys, time
from pathlib import Path

def end(*_):
    time.sleep({seconds})
    Path("stopped").touch()
    sys.exit()

signal.signal(signal.SIGTERM, end)
Path("started").touch()
time.sleep(600)
"""
# As the runner of a stage does: it ends with the DVC that ran it.
RUNNER = """
import sys
from stages.runtime.dvc_process import find_dvc
from stages.runtime.supervise import supervise
sys.exit(supervise([sys.executable, "stage.py"], find_dvc()))
"""


def stop(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ci.stop", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def running(project):
    """A project whose pipeline runs, in a shell that nobody signals."""

    def start(seconds: float) -> subprocess.Popen[bytes]:
        (project / "stage.py").write_text(STAGE.format(seconds=seconds))
        (project / "runner.py").write_text(RUNNER)
        (project / "dvc.yaml").write_text(
            "stages:\n  train:\n    cmd: python runner.py\n    outs: [stopped]\n"
        )
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PATH": path}
        process = subprocess.Popen(["bash", "-c", "dvc repro; true"], cwd=project, env=environment)
        wait_until((project / "started").exists, "the stage's start")
        return process

    return start


def test_nothing_to_stop(project):
    done = stop(project)
    assert (done.returncode, done.stdout) == (0, "stop: DVC does not run here\n")


@pytest.mark.parametrize(
    ("line", "is_dvc"),
    [
        ("dvc repro", True),
        ("/venv/bin/python3.13 /venv/bin/dvc repro", True),
        ("python -m dvc repro", True),
        ("tail -f dvc", False),
        ("vim dvc", False),
        ("python count.py dvc", False),
        ("", False),
    ],
)
def test_only_dvc_itself_is_signalled(line, is_dvc):
    assert _is_dvc(line.split()) == is_dvc


@pytest.mark.slow
def test_the_stage_ends_with_its_checkpoint_before_the_step_does(running, project):
    process = running(1)
    done = stop(project)
    assert done.returncode == 0, done.stderr
    assert "SIGTERM to process" in done.stdout
    assert "3 processes ended after" in done.stdout
    assert (project / "stopped").exists()
    assert process.wait(10) == 0


@pytest.mark.slow
def test_what_does_not_end_is_named_after_a_while(running, project):
    process = running(5)
    start = time.monotonic()
    done = stop(project, "--seconds", "1")
    assert time.monotonic() - start < 5
    assert done.returncode == 1
    assert "processes still run after 1 s" in done.stderr
    process.wait(10)
    wait_until((project / "stopped").exists, "its end")
