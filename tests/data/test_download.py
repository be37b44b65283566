import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from alexnet.data import catalog
from alexnet.data.catalog import KNOWN, File
from alexnet.data.download import download
from alexnet.data.source import load_source
from alexnet.errors import UserError

from .conftest import Server
from .making import make_config, make_files, write_folder, write_tar

PARTS = {
    name: name.encode() * 50
    for name in ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def publish(monkeypatch: pytest.MonkeyPatch, name: str, mirrors: list[str], **files: bytes) -> None:
    """Let the catalog say that data set `name` is these files at these mirrors."""
    listed = tuple(File(file, len(body), digest(body)) for file, body in files.items())
    known = replace(KNOWN[name], files=listed, mirrors=tuple(mirrors))
    monkeypatch.setitem(catalog.KNOWN, name, known)


def received(raw: Path) -> dict[str, bytes]:
    root = raw / "files"
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def test_a_published_archive_from_its_mirror(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/kriz/c.tar.gz"] = b"archive"
    publish(monkeypatch, "cifar10", [f"{server.url}/kriz/"], **{"c.tar.gz": b"archive"})
    lines: list[str] = []
    download(make_config(name="cifar10", source=None), tmp_path / "raw", lines.append)
    assert received(tmp_path / "raw") == {"c.tar.gz": b"archive"}
    listing = f"{digest(b'archive')}  c.tar.gz\n"
    assert json.loads((tmp_path / "raw/source.json").read_text()) == {
        "name": "cifar10",
        "source": f"{server.url}/kriz/c.tar.gz",
        "files": [{"path": "c.tar.gz", "bytes": 7, "sha256": digest(b"archive")}],
        "sha256": digest(listing.encode()),
    }
    assert os.listdir(tmp_path) == ["raw"]  # no partial download stays
    assert lines == [f"cifar10: 1 file(s), 7 bytes from {server.url}/kriz/c.tar.gz"]


def test_the_next_mirror_after_a_missing_or_a_wrong_file(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files |= {f"/good/{name}": content for name, content in PARTS.items()}
    server.files |= {f"/bad/{name}": content[::-1] for name, content in PARTS.items()}
    publish(monkeypatch, "mnist", [f"{server.url}/{m}/" for m in ("none", "bad", "good")], **PARTS)
    lines: list[str] = []
    download(make_config(name="mnist", source=None), tmp_path / "raw", lines.append)
    assert received(tmp_path / "raw") == PARTS
    assert load_source(tmp_path / "raw").source == f"{server.url}/good/"
    assert "404" in lines[0]
    assert "sha256 should be" in lines[1]


def test_wrong_bytes_name_file_expected_and_found_and_are_not_kept(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/c.tar.gz"] = b"ARCHIVE"
    publish(monkeypatch, "cifar10", [server.url + "/"], **{"c.tar.gz": b"archive"})
    with pytest.raises(UserError) as caught:
        download(make_config(name="cifar10", source=None), tmp_path / "raw")
    for part in (f"{server.url}/c.tar.gz", digest(b"archive"), digest(b"ARCHIVE")):
        assert part in str(caught.value)
    assert not list((tmp_path / ".partial").iterdir())
    assert not (tmp_path / "raw").exists()


def test_a_wrong_size_is_seen_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, "cifar10", [], **{"c.tar.gz": b"archive"})
    (tmp_path / "mine").write_bytes(b"arch")
    with pytest.raises(UserError, match=r"data.source: .*mine: .* 7 bytes, this one has 4"):
        download(make_config(name="cifar10", source=str(tmp_path / "mine")), tmp_path / "raw")


def test_sha256_of_the_parameters_overrides_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "cifar10", [], **{"c.tar.gz": b"archive"})
    mine = tmp_path / "mine.tar"
    mine.write_bytes(b"another")
    data = make_config(name="cifar10", source=str(mine), sha256=digest(b"another"))
    download(data, tmp_path / "raw")
    assert received(tmp_path / "raw") == {"mine.tar": b"another"}
    with pytest.raises(UserError, match="sha256 should be " + "0" * 64):
        download(data.model_copy(update={"sha256": "0" * 64}), tmp_path / "raw")
    assert received(tmp_path / "raw") == {"mine.tar": b"another"}  # the good one stands


def test_sha256_of_several_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.sha256: mnist comes in several files"):
        download(make_config(name="mnist", source=None, sha256="0" * 64), tmp_path / "raw")


@pytest.mark.parametrize("where", ["local", "server"])
def test_uncompressed_idx_files_are_taken_and_said_to_be_unchecked(
    where: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(monkeypatch, "mnist", [], **PARTS)
    mixed = dict(PARTS)
    mixed["train-labels-idx1-ubyte"] = mixed.pop("train-labels-idx1-ubyte.gz")
    write_folder(tmp_path / "mine", mixed)
    server.files |= {f"/m/{name}": content for name, content in mixed.items()}
    source = f"{server.url}/m" if where == "server" else str(tmp_path / "mine")
    lines: list[str] = []
    download(make_config(name="mnist", source=source), tmp_path / "raw", lines.append)
    assert received(tmp_path / "raw") == mixed
    assert [line for line in lines if "no published digest" in line] == [lines[0]]


def test_digits_are_the_file_of_scikit_learn(tmp_path: Path) -> None:
    download(make_config(name="digits", source=None), tmp_path / "raw")
    assert list(received(tmp_path / "raw")) == ["digits.csv.gz"]
    assert load_source(tmp_path / "raw").source == "scikit-learn"


def test_a_folder_is_copied_without_litter(tmp_path: Path) -> None:
    files = make_files(2)
    mine = write_folder(tmp_path / "mine", files | {"cat/.DS_Store": b"", ".git/config": b""})
    (mine / ".git/link").symlink_to("config")  # not even looked at
    (mine / "empty").mkdir()
    lines: list[str] = []
    data = make_config(source=["/no/such/place", str(mine)])
    download(data, tmp_path / "raw", lines.append)
    assert received(tmp_path / "raw") == files
    assert (tmp_path / "raw/files/empty").is_dir()
    assert "/no/such/place does not exist; trying the next" in lines[0]
    assert lines[1] == f"{mine}: skipped 2 hidden or system file(s)"

    listing = load_source(tmp_path / "raw").sha256
    download(make_config(source=str(mine), sha256=listing), tmp_path / "raw")
    with pytest.raises(UserError, match=f"sha256 of its listing is {listing}"):
        download(make_config(source=str(mine), sha256="0" * 64), tmp_path / "raw")


def test_an_archive_of_images_by_url(server: Server, tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "images.tar", make_files(2)).read_bytes()
    server.files["/a/images.tar?version=2"] = archive
    source = f"{server.url}/a/images.tar?version=2"
    download(make_config(source=source, sha256=digest(archive)), tmp_path / "raw")
    assert received(tmp_path / "raw") == {"images.tar": archive}
    assert load_source(tmp_path / "raw").source == source


@pytest.mark.parametrize("kind", ["link", "linked folder", "pipe"])
def test_a_folder_with_something_other_than_files_is_refused(kind: str, tmp_path: Path) -> None:
    mine = write_folder(tmp_path / "mine", make_files(1))
    if kind == "pipe":
        os.mkfifo(mine / "cat/odd.png")
    else:
        (mine / "cat/odd.png").symlink_to("/etc/hostname" if kind == "link" else "/etc")
    with pytest.raises(UserError, match=r"cat/odd\.png is a link or a device"):
        download(make_config(source=str(mine)), tmp_path / "raw")
    assert os.listdir(tmp_path) == ["mine"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/no/such/place", "data.source: /no/such/place does not exist"),
        (["", "x"], "data.source: is empty"),
        ("http://example.org/x.tar", "data.source: .*use https"),
        ("s3://bucket/x.tar", "data.source: .*https:// address or a local path"),
    ],
)
def test_sources_that_are_no_source(source: str | list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        download(make_config(source=source), tmp_path / "raw")


def test_a_folder_is_not_copied_into_itself(tmp_path: Path) -> None:
    write_folder(tmp_path, make_files(1))
    with pytest.raises(UserError, match="where it would be copied to"):
        download(make_config(source=str(tmp_path)), tmp_path / "data/raw")


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = write_folder(tmp_path / "mine", make_files(1))
    download(make_config(source=str(mine)), tmp_path / "raw")
    before = received(tmp_path / "raw")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        download(make_config(source=str(mine)), tmp_path / "raw")
    assert received(tmp_path / "raw") == before
    assert sorted(os.listdir(tmp_path)) == ["mine", "raw"]
