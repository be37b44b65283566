"""A stage runs under the DVC that started it, and not at all once that has ended.

DVC is a process here that writes its lock's file as DVC does; tests/stages/test_under_dvc.py has
the real one.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from alexnet.errors import UserError
from stages.runtime.dvc_process import GONE, find_dvc
from tests.conftest import ROOT
from tests.stages.projects import finish, start, wait_until


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project whose DVC runs a stage in a folder below."""
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    monkeypatch.setenv("DVC_STAGE", "train")
    return tmp_path


def lock(project: Path, *writers: int, readers: tuple[int, ...] = ()) -> None:
    locks = {
        "write": {f"/{pid}": {"pid": pid, "cmd": "dvc repro"} for pid in writers},
        "read": {f"/r{pid}": [{"pid": pid, "cmd": "dvc repro"}] for pid in readers},
    }
    (project / ".dvc/tmp/rwlock").write_text(json.dumps(locks))


def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_of_those_who_hold_locks_dvc_is_the_ancestor(project):
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        lock(project, dead_process(), stranger.pid, os.getppid())
        find_dvc().require_alive()
        lock(project, dead_process(), readers=(os.getppid(),))
        find_dvc().require_alive()
        for others in ([], [stranger.pid], [dead_process()]):
            lock(project, *others)
            with pytest.raises(UserError, match="the DVC that started this stage has ended"):
                find_dvc()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_lock_that_is_just_being_written_is_read_again(project):
    file = project / ".dvc/tmp/rwlock"
    file.write_text('{"write": {"/a"')
    writer = threading.Timer(0.1, lock, [project, os.getppid()])
    writer.start()
    find_dvc().require_alive()
    writer.join()


def test_a_damaged_lock_is_an_error(project, monkeypatch):
    monkeypatch.setattr("stages.runtime.dvc_process.RETRY_SECONDS", 0)
    (project / ".dvc/tmp/rwlock").write_text("{")
    with pytest.raises(UserError, match="rwlock is damaged; remove it if no DVC runs"):
        find_dvc()


def test_without_dvc_there_is_none(project, monkeypatch):
    monkeypatch.delenv("DVC_STAGE")
    assert find_dvc() is None


def test_outside_of_a_project_dvc_stage_is_an_error(project):
    (project / ".dvc/tmp").rmdir()
    (project / ".dvc").rmdir()
    with pytest.raises(UserError, match="is in no DVC project; unset it"):
        find_dvc()


def test_a_runner_whose_dvc_is_dead_starts_nothing(project):
    """It looks before the imports that take a while."""
    lock(project, dead_process())
    program = """
import sys
from stages.runtime import runner
try:
    runner.main()
finally:
    assert not {"typer", "pydantic", "ruamel"} & sys.modules.keys()
"""
    code, output = finish(start(project, sys.executable, "-c", program))
    assert (code, output) == (1, f"error: {GONE}\n")


# An engine that answers after a file is there.
ENGINE = f"""#!{sys.executable}
import pathlib, sys, time
with open("calls", "a") as log:
    print(sys.argv[1], file=log)
if sys.argv[1] == "image":
    print("sha256:abc []")
while sys.argv[1] == "info" and not pathlib.Path("go").exists():
    time.sleep(0.01)
"""
DVC = f"""
import json, os, subprocess, sys
lock = {{"write": {{"/a": {{"pid": os.getpid(), "cmd": "dvc repro"}}}}}}
open(".dvc/tmp/rwlock", "w").write(json.dumps(lock))
subprocess.run([{sys.executable!r}, "-m", "stages.runtime.runner", "train"])
"""


def test_a_stage_does_not_start_if_dvc_dies_while_an_engine_is_asked(project):
    (project / "podman").write_text(ENGINE)
    (project / "podman").chmod(0o755)
    (project / "params.yaml").write_text("train: {}\n")
    (project / "dvc.yaml").write_text("stages: {train: {}}\n")
    environment = {"STAGE_RUNTIME": "podman", "PATH": str(project)}
    dvc = start(project, sys.executable, "-c", DVC, **environment)
    calls = project / "calls"
    wait_until(lambda: calls.exists() and "info" in calls.read_text(), "the question")
    dvc.kill()
    dvc.wait()
    (project / "go").touch()
    _, output = finish(dvc)  # once the runner has ended, too
    assert output.endswith(f"error: {GONE}\n")
    assert calls.read_text().split() == ["version", "image", "info"]


def test_a_parent_that_was_dead_before_it_was_watched_ends_its_child():
    program = f"""
import time
from alexnet.signals import terminate_with_parent
terminate_with_parent({dead_process()})
time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], env=environment)
    assert done.returncode == -signal.SIGTERM
    assert time.monotonic() - begin < 30
