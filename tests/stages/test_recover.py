"""What a DVC that was killed in the middle of writing leaves is put aside, and nothing else."""

import threading
import time

import pytest

from stages.runtime import recover
from stages.runtime.recover import LOCKS, RECORD


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(recover, "WRITING_SECONDS", 0.3)
    LOCKS.parent.mkdir(parents=True)


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
