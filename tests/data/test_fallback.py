"""What a download does about unreadable sources, a full disk and another download."""

import errno
import os
import shutil

import pytest

from alexnet.data.download import download
from alexnet.errors import UserError
from alexnet.scratch import locked_folder

from .making import make_config, make_files, read_files, write_folder, write_tar


@pytest.fixture
def copy_fails(monkeypatch):
    """Let the copies out of a folder fail with this error, as shutil.copyfile raises it."""
    copyfile = shutil.copyfile

    def plan(number, folder):
        def copy(path, to):
            if path.is_relative_to(folder):
                raise OSError(number, os.strerror(number), str(path), None, str(to))
            copyfile(path, to)

        monkeypatch.setattr(shutil, "copyfile", copy)

    return plan


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("x" * 300, "x cannot be read (File name too long); trying the next source"),
        ("mine", "/mine cannot be read (Permission denied: {}/mine/cat/000.png); trying the next"),
    ],
)
def test_the_next_source_is_tried_after_one_that_cannot_be_read(
    tmp_path, log, copy_fails, name, reason
):
    write_folder(tmp_path / "mine", make_files(2))
    write_folder(tmp_path / "good", make_files(2))
    copy_fails(errno.EACCES, tmp_path / "mine")
    download(make_config(source=[f"{tmp_path}/{name}", f"{tmp_path}/good"]), tmp_path / "raw")
    assert read_files(tmp_path / "raw/files") == make_files(2)
    assert reason.format(tmp_path) in log.messages[0]


def test_a_full_disk_is_no_fault_of_a_source(tmp_path, copy_fails):
    mine = write_folder(tmp_path / "mine", make_files(2))
    copy_fails(errno.ENOSPC, mine)
    with pytest.raises(OSError, match="No space left on device") as caught:
        download(make_config(source=[str(mine)]), tmp_path / "raw")
    assert not isinstance(caught.value, UserError)


def test_two_downloads_do_not_share_a_partial_file(server, tmp_path):
    archive = write_tar(tmp_path / "a.tar", make_files(2)).read_bytes()
    server.files["/a.tar"] = archive
    data, partials = make_config(source=f"{server.url}/a.tar"), tmp_path / ".partial"
    with locked_folder(partials):
        (partials / "of the other.part").write_bytes(b"x")
        with pytest.raises(UserError, match=r"another download uses .*; wait until it"):
            download(data, tmp_path / "raw")
        download(make_config(source=f"{tmp_path}/a.tar"), tmp_path / "raw")
        assert os.listdir(partials) == ["of the other.part"]
    download(data, tmp_path / "raw")
    assert not partials.exists()
