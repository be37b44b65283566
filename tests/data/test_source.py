import subprocess
from pathlib import Path

import pytest

from alexnet.data.source import list_source, load_source, write_source
from alexnet.errors import UserError

from .making import make_files, write_folder


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    write_folder(tmp_path / "files", make_files(2))
    write_source(tmp_path, list_source(tmp_path, "folder", "somewhere"))
    return tmp_path


def test_the_digest_is_that_of_what_sha256sum_prints(raw: Path) -> None:
    names = sorted(make_files(2))
    lines = subprocess.run(["sha256sum", *names], cwd=raw / "files", capture_output=True).stdout
    total = subprocess.run(["sha256sum"], input=lines, capture_output=True).stdout.split()[0]
    assert load_source(raw).sha256 == total.decode()


@pytest.mark.parametrize("change", ["changed", "removed", "added"])
def test_files_that_are_not_as_received_are_named(raw: Path, change: str) -> None:
    path = raw / "files/cat/001.png"
    if change == "changed":
        path.write_bytes(path.read_bytes()[:-1] + b"!")
    elif change == "removed":
        path.unlink()
    else:
        path = path.with_name("new.png")
        path.write_bytes(b"new")
    with pytest.raises(UserError, match=f"not as it was received: cat/{path.name}; download"):
        load_source(raw)


def test_a_listing_that_is_none(raw: Path) -> None:
    (raw / "source.json").write_text('{"name": "folder"}')
    with pytest.raises(UserError, match="not a listing of ours"):
        load_source(raw)


def test_nothing_downloaded_yet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"source.json does not exist; run the stage"):
        load_source(tmp_path)
