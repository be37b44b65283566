"""The first process of a container ends after every process that it has started."""

import os
import signal
import subprocess
import sys
import time

from tests.conftest import ROOT

# A command that ends before its child, as DVC does before its stage.
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
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def test_a_commands_orphans_are_waited_for(tmp_path):
    assert finish(reaper(tmp_path, sys.executable, "-c", LEAVES)) == (3, "")
    assert (tmp_path / "later").exists()


def test_a_signal_to_the_group_ends_the_command_first(tmp_path):
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


def test_an_unknown_command_is_an_error(tmp_path):
    code, errors = finish(reaper(tmp_path, "dvcc", "repro"))
    assert (code, errors) == (1, "error: [Errno 2] No such file or directory: 'dvcc'\n")
