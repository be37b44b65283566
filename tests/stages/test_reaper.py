"""The first process of a container ends after everything that it has started."""

import os
import signal
import subprocess
import sys
import time

from tests.conftest import ROOT

# A command that leaves something behind, which needs a moment: as DVC does with a stage.
LEAVES = """
import subprocess, sys
later = "import pathlib, time; time.sleep(1); pathlib.Path('later').touch()"
subprocess.Popen([sys.executable, "-c", later], start_new_session=True)
sys.exit(3)
"""
ENDS = """
import pathlib, time
pathlib.Path("started").touch()
time.sleep(600)
"""


def reaper(folder, *command: str) -> subprocess.Popen:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "stages.runtime.reaper", *command]
    return subprocess.Popen(
        line, cwd=folder, env=env, start_new_session=True, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_what_a_command_leaves_behind_is_waited_for(tmp_path):
    assert finish(reaper(tmp_path, sys.executable, "-c", LEAVES)) == (3, "")
    assert (tmp_path / "later").exists()


def test_a_signal_to_all_ends_the_command_and_not_the_reaper_before_it(tmp_path):
    process = reaper(tmp_path, sys.executable, "-c", ENDS)
    end = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    process.terminate()  # it alone: nothing happens
    time.sleep(0.2)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGTERM)
    assert finish(process) == (128 + signal.SIGTERM, "")


def test_a_command_that_is_not_there(tmp_path):
    code, said = finish(reaper(tmp_path, "dvcc", "repro"))
    assert (code, said) == (1, "error: [Errno 2] No such file or directory: 'dvcc'\n")
