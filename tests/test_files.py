"""Files and directories are complete or not there."""

import errno
import hashlib
import os
import re
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from alexnet.errors import UserError
from alexnet.files import (
    atomic_directory,
    atomic_write,
    read_json,
    read_rows,
    sha256,
    write_json,
    write_rows,
    write_text,
)
from alexnet.training.history import LayerEpoch
from tests.conftest import ROOT


def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "good")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as temporary:
        temporary.write_text(f"ha{1 / 0}")
    assert path.read_text() == "good"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_synced_before_it_is_renamed_and_its_folder_after(tmp_path, monkeypatch):
    path, synced = tmp_path / "a.txt", []
    monkeypatch.setattr("alexnet.files.fsync", lambda file: synced.append((file, path.exists())))
    write_text(path, "good")
    (temporary, was_there), after = synced
    assert temporary.parent == tmp_path
    assert temporary != path
    assert not was_there
    assert after == (tmp_path, True)


@pytest.mark.parametrize("error", [0, -1])
def test_many_files_are_synced_by_one_call(tmp_path, monkeypatch, error):
    path, synced = tmp_path / "folder", []

    def syncfs(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        return error

    libc = SimpleNamespace(syncfs=syncfs)
    fake = SimpleNamespace(CDLL=lambda *_, **__: libc, get_errno=lambda: errno.EIO)
    monkeypatch.setattr("alexnet.files.ctypes", fake)
    monkeypatch.setattr("alexnet.files.MAX_FSYNCS", 1)
    expected = pytest.raises(OSError, match="Input/output") if error else nullcontext()
    with expected, atomic_directory(path, {"a"}.__contains__) as new:
        (new / "a").write_text("good")
    assert synced == [str(new)]
    assert path.exists() != bool(error)


@pytest.mark.parametrize("failure", [ZeroDivisionError, OSError, None])
def test_a_failure_keeps_the_old_directory_and_leaves_nothing_else(tmp_path, monkeypatch, failure):
    """A failure of the writer, one of the last rename, and none."""
    path = tmp_path / "folder"
    ours = {"a", "b"}.__contains__
    with atomic_directory(path, ours) as new:
        (new / "a").write_text("good")
    rename = Path.rename

    def refuse(source, target):
        if failure is OSError and source.name == "new":
            raise OSError("no")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", refuse)
    monkeypatch.setattr("alexnet.scratch._exchange", lambda *_: False)
    with pytest.raises(failure) if failure else nullcontext(), atomic_directory(path, ours) as new:
        (new / "b").write_text("better")
        if failure is ZeroDivisionError:
            raise ZeroDivisionError
    assert [file.name for file in path.iterdir()] == ["a" if failure else "b"]
    assert (path / "a" if failure else path / "b").read_text() == ("good" if failure else "better")
    assert list(tmp_path.iterdir()) == [path]


def test_json_round_trip(tmp_path):
    write_json(tmp_path / "a.json", {"näme": [1, 2.5, None]})
    assert read_json(tmp_path / "a.json") == {"näme": [1, 2.5, None]}


def test_invalid_or_missing_json_is_an_error(tmp_path):
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UserError, match=r"a.json: is not valid JSON .*; run the stage"):
        read_json(tmp_path / "a.json")
    with pytest.raises(UserError, match="does not exist"):
        read_json(tmp_path / "b.json")


def test_nan_is_never_written_as_json(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"accuracy": float("nan")})
    assert not list(tmp_path.iterdir())


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"x" * 100_000).hexdigest()


@pytest.mark.slow
@pytest.mark.parametrize("writer", ["weights", "text"])
def test_a_full_disk_is_one_message_and_keeps_the_old_file(tmp_path, writer):
    """A limit on the size of files stands for the full disk: the write fails in the middle."""
    (tmp_path / "out").write_text("good")
    statement = {
        "text": "files.write_text(path, 'x' * 500_000)",
        "weights": "weights.save_weights(path, AlexNetCifar(), weights.ModelMetadata("
        "'cifar', tuple('abcdefghij'), 32, (0.5,) * 3, (0.5,) * 3))",
    }[writer]
    script = f"""
import resource
from pathlib import Path
from types import SimpleNamespace
from alexnet import files
from alexnet.network import weights
from alexnet.network.model import AlexNetCifar
from alexnet.cli.app import run

def write() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    path = Path("out")
    {statement}

run(write)
"""
    command, environment = [sys.executable, "-c", script], {"PYTHONPATH": str(ROOT), "PATH": ""}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr
    assert "File too large" in result.stderr
    assert re.search(r"'?out", result.stderr), "the file is named"
    assert (tmp_path / "out").read_text() == "good"
    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_rows_are_written_and_read(tmp_path):
    path = tmp_path / "train" / "layers.csv"
    rows = [LayerEpoch(1, "conv1", 0.123456789, 12.0, 1.5e-7, 0.0)]
    rows += [LayerEpoch(1, "fc3", 2.0, 3.0, 0.5, None)]
    write_rows(path, LayerEpoch, rows)
    assert path.read_text() == (
        "epoch,layer,gradient_norm,weight_norm,update_ratio,dead_relus\n"
        "1,conv1,0.123457,12,1.5e-07,0\n"
        "1,fc3,2,3,0.5,\n"
    )
    found = read_rows(path, LayerEpoch, "train again")
    assert found[1] == rows[1]
    assert found[0].gradient_norm == pytest.approx(rows[0].gradient_norm, rel=1e-5)
