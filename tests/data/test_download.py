"""data/raw holds the files of a verified source, or what it held before."""

import hashlib
import json
import os
from dataclasses import replace

import pytest

from alexnet.data.catalog import DATASETS, PublishedFile
from alexnet.data.download import download
from alexnet.data.source import load_source
from alexnet.errors import UserError

from .making import make_config, make_files, read_files, write_folder, write_tar

NAMES = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
PARTS = {name: name.encode() * 50 for name in NAMES}
ARCHIVE = b"archive"


def digest(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def publish(monkeypatch):
    """Replace the published files and mirrors of a data set in the catalog."""

    def publish(name, mirrors, **files):
        listed = tuple(PublishedFile(file, len(body), digest(body)) for file, body in files.items())
        spec = replace(DATASETS[name], files=listed, mirrors=tuple(mirrors))
        monkeypatch.setitem(DATASETS, name, spec)

    return publish


@pytest.fixture
def raw(tmp_path):
    return tmp_path / "raw"


def fetch(raw, **changes):
    """Download with these settings; the files that arrived."""
    download(make_config(**changes), raw)
    return read_files(raw / "files")


def test_a_published_archive_is_downloaded_from_its_mirror(server, raw, publish, log):
    server.files["/kriz/c.tar.gz"] = ARCHIVE
    publish("cifar10", [f"{server.url}/kriz/"], **{"c.tar.gz": ARCHIVE})
    assert fetch(raw, name="cifar10", source=None) == {"c.tar.gz": ARCHIVE}
    assert json.loads((raw / "source.json").read_text()) == {
        "name": "cifar10",
        "source": f"{server.url}/kriz/c.tar.gz",
        "files": [{"path": "c.tar.gz", "bytes": 7, "sha256": digest(ARCHIVE)}],
        "sha256": digest(f"{digest(ARCHIVE)}  c.tar.gz\n".encode()),
    }
    assert os.listdir(raw.parent) == ["raw"], "no partial download is left"
    assert log.messages == [f"cifar10: 1 file(s), 7 bytes from {server.url}/kriz/c.tar.gz"]


def test_the_next_mirror_is_tried_after_a_missing_or_a_wrong_file(server, raw, publish, log):
    server.files |= {f"/good/{name}": content for name, content in PARTS.items()}
    server.files |= {f"/bad/{name}": content[::-1] for name, content in PARTS.items()}
    publish("mnist", [f"{server.url}/{mirror}/" for mirror in ("none", "bad", "good")], **PARTS)
    assert fetch(raw, name="mnist", source=None) == PARTS
    assert load_source(raw).source == f"{server.url}/good/"
    assert "404" in log.messages[0]
    assert "sha256 should be" in log.messages[1]


def test_wrong_bytes_are_named_with_both_digests_and_removed(server, raw, publish):
    server.files["/c.tar.gz"] = ARCHIVE.upper()
    publish("cifar10", [server.url + "/"], **{"c.tar.gz": ARCHIVE})
    with pytest.raises(UserError) as caught:
        fetch(raw, name="cifar10", source=None)
    for part in (f"{server.url}/c.tar.gz", digest(ARCHIVE), digest(ARCHIVE.upper())):
        assert part in str(caught.value)
    assert not list((raw.parent / ".partial").iterdir())
    assert not raw.exists()


def test_a_wrong_size_is_named_before_the_digest(tmp_path, raw, publish):
    publish("cifar10", [], **{"c.tar.gz": ARCHIVE})
    (tmp_path / "mine").write_bytes(b"arch")
    with pytest.raises(UserError, match=r"data.source: .*mine: .* 7 bytes, this one has 4"):
        fetch(raw, name="cifar10", source=str(tmp_path / "mine"))


def test_data_sha256_overrides_the_published_digest(tmp_path, raw, publish):
    publish("cifar10", [], **{"c.tar.gz": ARCHIVE})
    mine = tmp_path / "mine.tar"
    mine.write_bytes(b"another")
    data = {"name": "cifar10", "source": str(mine)}
    assert fetch(raw, **data, sha256=digest(b"another")) == {"mine.tar": b"another"}
    with pytest.raises(UserError, match="sha256 should be " + "0" * 64):
        fetch(raw, **data, sha256="0" * 64)
    assert read_files(raw / "files") == {"mine.tar": b"another"}, "the verified one is kept"


def test_data_sha256_of_several_files_is_an_error(raw):
    with pytest.raises(UserError, match=r"data\.sha256: mnist has several files"):
        fetch(raw, name="mnist", source=None, sha256="0" * 64)


@pytest.mark.parametrize("where", ["local", "server"])
def test_uncompressed_idx_files_are_accepted_unverified(where, server, tmp_path, raw, publish, log):
    publish("mnist", [], **PARTS)
    files = {NAMES[0]: PARTS[NAMES[0]], NAMES[1].removesuffix(".gz"): PARTS[NAMES[1]]}
    write_folder(tmp_path / "mine", files)
    server.files |= {f"/m/{name}": content for name, content in files.items()}
    source = f"{server.url}/m" if where == "server" else str(tmp_path / "mine")
    assert fetch(raw, name="mnist", source=source) == files
    assert ["no published digest" in message for message in log.messages] == [True, False]


def test_a_folder_is_copied_without_system_files(tmp_path, raw, log):
    files = make_files(2)
    mine = write_folder(tmp_path / "mine", files | {"cat/.DS_Store": b"", ".git/config": b""})
    (mine / ".git/link").symlink_to("config")  # a system folder is not entered
    (mine / "empty").mkdir()
    assert fetch(raw, source=["/no/such/place", str(mine)]) == files
    assert (raw / "files/empty").is_dir()
    assert "/no/such/place does not exist; trying the next" in log.messages[0]
    assert log.messages[1] == f"{mine}: skipped 2 hidden or system file(s)"

    sha256 = load_source(raw).sha256
    fetch(raw, source=str(mine), sha256=sha256)
    with pytest.raises(UserError, match=f"sha256 of its list of files is {sha256}"):
        fetch(raw, source=str(mine), sha256="0" * 64)


def test_an_archive_of_images_is_downloaded_by_url(server, tmp_path, raw):
    archive = write_tar(tmp_path / "images.tar", make_files(2)).read_bytes()
    server.files["/a/images.tar?version=2"] = archive
    source = f"{server.url}/a/images.tar?version=2"
    assert fetch(raw, source=source, sha256=digest(archive)) == {"images.tar": archive}
    assert load_source(raw).source == source


def test_of_links_in_a_folder_the_content_is_copied(tmp_path, raw):
    mine = write_folder(tmp_path / "mine", make_files(1))
    (mine / "cat/link.png").symlink_to("../dog/000.png")
    (mine / "kitten").symlink_to("cat")
    cat, dog = make_files(1).values()
    linked = {"cat/link.png": dog, "kitten/000.png": cat, "kitten/link.png": dog}
    assert fetch(raw, source=str(mine)) == make_files(1) | linked
    assert not any(path.is_symlink() for path in raw.rglob("*"))


def test_a_pipe_in_a_folder_is_an_error(tmp_path, raw):
    mine = write_folder(tmp_path / "mine", make_files(1))
    os.mkfifo(mine / "cat/odd.png")
    with pytest.raises(UserError, match=r"cat/odd\.png is a device or a pipe"):
        fetch(raw, source=str(mine))
    assert os.listdir(tmp_path) == ["mine"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/no/such/place", "data.source: /no/such/place does not exist"),
        (["", "x"], "data.source: is empty"),
        ("~nobody-here/x", "~nobody-here/x does not exist"),
        ("s3://bucket/x.tar", "data.source: .*https:// address or a local path"),
    ],
)
def test_an_invalid_source_is_an_error(source, message, raw):
    with pytest.raises(UserError, match=message):
        fetch(raw, source=source)


def test_a_folder_is_not_copied_into_itself(tmp_path):
    write_folder(tmp_path, make_files(1))
    with pytest.raises(UserError, match="where it would be copied to"):
        fetch(tmp_path / "data/raw", source=str(tmp_path))
