"""A stage's process ends with the process that started it, and by a signal that it can handle."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT
from tests.stages.projects import wait_until

PATIENCE = 60.0
# Writes a file when it starts and when a signal arrives, and takes a moment to end.
STAGE = """
import pathlib, signal, sys, time
def handle(signum, frame):
    time.sleep(0.2)
    pathlib.Path("writing").write_text(str(signum))
    pathlib.Path("writing").rename("received")  # never there and still empty
    sys.exit(128 + signum)
for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(signum, handle)
pathlib.Path("started").write_text("yes")
time.sleep(600)
"""
SUPERVISE = """
import sys
from stages.runtime.dvc_process import find_dvc
from stages.runtime.supervise import supervise
sys.exit(supervise(sys.argv[1:], find_dvc()))
"""
# Holds a lock as DVC does, and runs a command in a shell.
DVC = """
import json, os, pathlib, subprocess, sys
pathlib.Path(".dvc/tmp").mkdir(parents=True)
lock = {"write": {"/weights": {"pid": os.getpid(), "cmd": "dvc repro"}}}
pathlib.Path(".dvc/tmp/rwlock").write_text(json.dumps(lock))
subprocess.run(sys.argv[1:], env=os.environ | {"DVC_STAGE": "train"})
"""


def supervised(*command: str) -> list[str]:
    return [sys.executable, "-c", SUPERVISE, *command]


@pytest.fixture
def started(tmp_path):
    """Start a command in `tmp_path`; what is left of it is killed in the end."""
    processes = []

    def start(command: list[str], **environment: str) -> subprocess.Popen:
        env = os.environ | {"PYTHONPATH": str(ROOT)} | environment
        process = subprocess.Popen(command, cwd=tmp_path, env=env, start_new_session=True)
        processes.append(process)
        wait_until((tmp_path / "started").exists, "the start")
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("code", "expected"), [("0", 0), ("3", 3)])
def test_the_exit_code_is_the_commands(code, expected, tmp_path):
    command = supervised(sys.executable, "-c", f"raise SystemExit({code})")
    assert subprocess.run(command, cwd=ROOT).returncode == expected


def test_a_command_that_was_killed_has_the_code_that_a_shell_gives_it():
    killed = supervised(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
    assert subprocess.run(killed, cwd=ROOT).returncode == 128 + signal.SIGKILL


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_passed_on_and_the_child_awaited(signum, started, tmp_path):
    process = started(supervised(sys.executable, "-c", STAGE))
    process.send_signal(signum)
    assert process.wait(PATIENCE) == 128 + signum
    assert (tmp_path / "received").read_text() == str(int(signum))


def test_under_nohup_a_terminal_that_closes_reaches_no_child(started, tmp_path):
    """An engine's client listens to SIGHUP all the same, and passes it into the container."""
    process = started(["nohup", *supervised(sys.executable, "-c", STAGE)])
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    process.terminate()
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM


def test_a_killed_supervisor_ends_its_stage(started, tmp_path):
    process = started(supervised(sys.executable, "-c", STAGE))
    process.kill()
    wait_until((tmp_path / "received").exists, "the end of the stage")
    assert (tmp_path / "received").read_text() == str(int(signal.SIGTERM))


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("shell", ["sh", "bash", "any shell"])
def test_a_stage_ends_with_the_dvc_that_ran_it(signum, shell, started, tmp_path):
    """Also through a shell between the two, which does not end with DVC."""
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "supervise.py").write_text(SUPERVISE)
    (tmp_path / "any shell").symlink_to("/bin/sh")
    line = f"{sys.executable} supervise.py {sys.executable} stage.py; echo stays"
    environment = {"PATH": f"{os.environ['PATH']}:{tmp_path}"}
    process = started([sys.executable, "-c", DVC, shell, "-c", line], **environment)
    process.send_signal(signum)
    process.wait(PATIENCE)
    wait_until((tmp_path / "received").exists, "the end of the stage")
    assert (tmp_path / "received").read_text() == str(int(signal.SIGTERM))


def test_without_dvc_a_stage_outlives_the_shell_that_started_it(started, tmp_path):
    """As with nohup."""
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "supervise.py").write_text(SUPERVISE)
    line = f"{sys.executable} supervise.py {sys.executable} stage.py & echo $! > pid; wait"
    process = started(["bash", "-c", line])
    process.kill()
    process.wait(PATIENCE)
    time.sleep(0.5)
    assert not (tmp_path / "received").exists()
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGTERM)
    wait_until((tmp_path / "received").exists, "the end of the stage")
