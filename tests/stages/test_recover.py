"""What a DVC that was killed in the middle of writing leaves is put aside, and nothing else."""

import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from stages.runtime import recover
from stages.runtime.recover import LOCKS, RECORD


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recover, "WRITING_SECONDS", 0.3)
    LOCKS.parent.mkdir(parents=True)


@pytest.fixture
def ended_process():
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize("text", ["", '{"write": {"a'])
def test_a_half_written_list_of_locks_is_removed(text, project, capsys):
    LOCKS.write_text(text)
    recover.recover()
    assert not LOCKS.exists()
    assert capsys.readouterr().err.startswith("warning: .dvc/tmp/rwlock was removed: ")


def test_a_half_written_dvc_lock_is_put_aside(project, capsys):
    content = "schema: '2.0'\nstages:\n  é".encode()[:-1]  # in the middle of a character
    RECORD.write_bytes(content)
    recover.recover()
    assert not RECORD.exists()
    assert RECORD.with_name("dvc.lock.damaged").read_bytes() == content
    assert "it is now dvc.lock.damaged" in capsys.readouterr().err


def test_whole_files_stay_and_so_does_one_that_is_being_written(project, capsys):
    LOCKS.write_text("{")
    RECORD.write_text("schema: '2.0'\n")

    def write() -> None:
        time.sleep(0.15)
        LOCKS.write_text("{}")

    writer = threading.Thread(target=write)
    writer.start()
    recover.recover()
    writer.join()
    assert (LOCKS.read_text(), RECORD.read_text()) == ("{}", "schema: '2.0'\n")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("is_running", [False, True])
def test_a_partial_copy_of_an_output_is_removed_unless_a_dvc_is_at_work(
    is_running, project, ended_process
):
    """Of a process that has ended, and of this one."""
    pid = os.getpid() if is_running else ended_process
    LOCKS.write_text(json.dumps({"write": {"models": {"pid": pid, "cmd": "dvc repro"}}}))
    partial = [
        Path("models/.cvZ5OURRj1FzfVCLRDAnNw.tmp"),
        Path("data/raw/.-N_wdGJPkjw8GyJsSbAXX8.tmp"),
    ]
    others = [Path("models/weights.safetensors"), Path("data/.own.tmp"), Path("data/own/a.png")]
    for path in partial + others:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    recover.recover()
    assert [path.exists() for path in partial] == [is_running, is_running]
    assert all(path.exists() for path in others)
