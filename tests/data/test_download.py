"""data/raw holds the files of a verified source, or what it held before."""

import bz2
import gzip
import hashlib
import json
import lzma
import os
from dataclasses import replace

import pytest

from alexnet.data.catalog import DATASETS, PublishedFile
from alexnet.data.download import download
from alexnet.data.source import load_source
from alexnet.errors import UserError

from .making import (
    cifar_files,
    make_config,
    make_files,
    mnist_files,
    read_files,
    small_spec,
    write_folder,
    write_tar,
)

IDX = mnist_files()
STEM = "train-images-idx3-ubyte"
PARTS = {f"{name}.gz": gzip.compress(content) for name, content in IDX.items()}
ARCHIVE = b"archive"
PACK = {"": bytes, ".gz": lambda c: gzip.compress(c, 1), ".xz": lzma.compress, ".bz2": bz2.compress}


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
def small(monkeypatch):
    """A small MNIST, Fashion-MNIST and CIFAR-10 in the place of the published ones."""
    for name in ("mnist", "fashion-mnist"):
        monkeypatch.setitem(DATASETS, name, small_spec(name))
    counts = {"train": 50, "test": 10}
    monkeypatch.setitem(DATASETS, "cifar10", replace(DATASETS["cifar10"], counts=counts))


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


def test_the_next_mirror_is_tried_after_a_missing_or_a_wrong_file(server, raw, small, log):
    server.files |= {f"/good/{name}": content for name, content in PARTS.items()}
    server.files |= {f"/bad/{name}": gzip.compress(b"other") for name in PARTS}
    mirrors = tuple(f"{server.url}/{mirror}/" for mirror in ("none", "bad", "good"))
    DATASETS["mnist"] = replace(DATASETS["mnist"], mirrors=mirrors)
    assert fetch(raw, name="mnist", source=None) == PARTS
    assert load_source(raw).source == f"{server.url}/good/"
    assert "404" in log.messages[0]
    assert "sha256 of its content should be" in log.messages[1]


def test_wrong_bytes_are_named_with_both_digests_and_removed(server, raw, publish):
    server.files["/c.tar.gz"] = ARCHIVE.upper()
    publish("cifar10", [server.url + "/"], **{"c.tar.gz": ARCHIVE})
    with pytest.raises(UserError) as caught:
        fetch(raw, name="cifar10", source=None)
    for part in (f"{server.url}/c.tar.gz", digest(ARCHIVE), digest(ARCHIVE.upper())):
        assert part in str(caught.value)
    assert not list((raw.parent / ".partial").iterdir())
    assert not raw.exists()


def test_data_sha256_overrides_the_published_digest(tmp_path, raw, small, log):
    mine = write_tar(tmp_path / "mine.tar", cifar_files())
    data = {"name": "cifar10", "source": str(mine)}
    content = mine.read_bytes()
    assert fetch(raw, **data, sha256=digest(content).upper()) == {"mine.tar": content}
    with pytest.raises(UserError, match="sha256 should be " + "0" * 64):
        fetch(raw, **data, sha256="0" * 64)
    assert read_files(raw / "files") == {"mine.tar": content}, "the verified one is kept"
    assert len(log.messages) == 1, "no warning"


def test_data_sha256_of_several_files_is_an_error(raw):
    with pytest.raises(UserError, match=r"data\.sha256: mnist has several files"):
        fetch(raw, name="mnist", source=None, sha256="0" * 64)


@pytest.mark.parametrize(
    ("where", "suffix"),
    [*(("local", suffix) for suffix in PACK), ("server", ""), ("server", ".gz")],
)
def test_the_content_is_proven_whoever_compressed_it(
    where, suffix, server, tmp_path, raw, small, log
):
    files = {f"{name}{suffix}": PACK[suffix](content) for name, content in IDX.items()}
    write_folder(tmp_path / "mine", files)
    server.files |= {f"/m/{name}": content for name, content in files.items()}
    source = str(tmp_path / "mine") if where == "local" else f"{server.url}/m"
    assert fetch(raw, name="mnist", source=source) == files
    assert len(log.messages) == 1, "no warning"
    with pytest.raises(UserError, match=rf"{STEM}{suffix} is {STEM} of mnist, not {STEM} of fa"):
        fetch(raw, name="fashion-mnist", source=source)


def test_one_of_the_addresses_or_one_with_a_query_gives_the_others(server, raw, small):
    server.files |= {f"/m/{name}": content for name, content in PARTS.items()}
    assert fetch(raw, name="mnist", source=f"{server.url}/m/{STEM}.gz") == PARTS
    server.files |= {f"/q/{name}?key=1": content for name, content in PARTS.items()}
    assert fetch(raw, name="mnist", source=f"{server.url}/q/?key=1") == PARTS


def test_damage_is_named_and_the_partial_download_removed(server, tmp_path, raw, small):
    server.files |= {f"/m/{name}": content for name, content in PARTS.items()}
    server.files[f"/m/{STEM}.gz"] = PARTS[f"{STEM}.gz"][:-9]
    with pytest.raises(UserError, match=rf"data.source: {server.url}/m/{STEM}.gz is damaged"):
        fetch(raw, name="mnist", source=f"{server.url}/m")
    assert not list((raw.parent / ".partial").iterdir())


def test_a_form_of_cifar_without_a_digest_is_read_and_said_to_be(tmp_path, raw, small, log):
    files = cifar_files()
    mine = write_folder(tmp_path / "cifar-10-batches-bin", files)
    kept = {file: content for file, content in files.items() if file != "readme.html"}
    assert fetch(raw, name="cifar10", source=str(tmp_path)) == kept
    assert f"{tmp_path}: no digest is published for this form of cifar10" in log.messages[0]
    write_tar(tmp_path / "mine.tar.gz", files, "w:gz")
    assert list(fetch(raw, name="cifar10", source=f"{tmp_path}/mine.tar.gz")) == ["mine.tar.gz"]
    assert "no digest is published" in log.messages[2]

    (mine / "data_batch_2.bin").write_bytes(files["data_batch_2.bin"][:3073])
    with pytest.raises(
        UserError, match=rf"data.source: {mine}: cifar10 should have .* but has .*41"
    ):
        fetch(raw, name="cifar10", source=str(mine))
    (mine / "data_batch_2.bin").unlink()
    with pytest.raises(UserError, match=rf"data.source: {mine}: data_batch_2.bin is expected"):
        fetch(raw, name="cifar10", source=str(mine))


def test_an_address_of_cifar_needs_a_digest(server, tmp_path, raw, small):
    archive = write_tar(tmp_path / "c.tar.gz", cifar_files(), "w:gz").read_bytes()
    pickles = write_tar(tmp_path / "p.tar.gz", {"py/data_batch_1": b"x"}, "w:gz").read_bytes()
    server.files |= {"/c.tar.gz": archive, "/p.tar.gz": pickles}
    data = {"name": "cifar10", "source": f"{server.url}/c.tar.gz"}
    with pytest.raises(UserError, match=f"but is {digest(archive)}; .* set data.sha256 to the sec"):
        fetch(raw, **data)
    assert fetch(raw, **data, sha256=digest(archive)) == {"c.tar.gz": archive}
    with pytest.raises(UserError, match=f"but is {digest(pickles)}; data_batch_1.bin .* pickles"):
        fetch(raw, name="cifar10", source=f"{server.url}/p.tar.gz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "a web page, as of a login or a warning"),
        (b"\xef\xbb\xbf\n <HTML lang=en>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a pointer of Git LFS"),
        (b"", "an empty file"),
    ],
)
@pytest.mark.parametrize("name", ["folder", "cifar10", "mnist"])
def test_what_is_no_data_is_named(server, tmp_path, raw, small, name, content, message):
    file = f"{STEM}.gz" if name == "mnist" else "a.tar.gz"
    files = PARTS | {file: content}
    write_folder(tmp_path / "mine", files)
    server.files |= {f"/m/{file}": content for file, content in files.items()}
    for source, verb in ((f"{server.url}/m/{file}", "gives"), (f"{tmp_path}/mine/{file}", "is")):
        with pytest.raises(UserError, match=f"^data.source: {source} {verb} {message}"):
            fetch(raw, name=name, source=source)
    assert not raw.exists()


def test_a_source_that_preprocess_would_refuse_is_not_kept(tmp_path, server, raw):
    """So the mended source is read by the next run."""
    mine = write_folder(tmp_path / "mine", make_files(2) | {"cat/notes.txt": b"x"})
    archive = write_tar(tmp_path / "mine.tar", make_files(2, classes=("cat",)))
    server.files["/mine.tar"] = archive.read_bytes()[:900]
    for source, message in (
        (mine, "cat/notes.txt"),
        (archive, "holds only the class cat"),
        (f"{server.url}/mine.tar", "cannot be read"),
    ):
        with pytest.raises(UserError, match=f"^data.source: {source}:? .*{message}"):
            fetch(raw, source=str(source))
    (mine / "cat/notes.txt").unlink()
    assert fetch(raw, source=str(mine)) == make_files(2)


def test_an_image_alone_in_a_folder_is_misplaced(tmp_path, raw):
    image = next(iter(make_files(1).values()))
    mine = write_folder(tmp_path / "mine", {"a.png": image})
    with pytest.raises(UserError, match=rf"{mine}: a\.png lies in no class\n  found:\n    a.png"):
        fetch(raw, source=str(mine))
    with pytest.raises(UserError, match=r"a\.png cannot be read: it is one image"):
        fetch(raw, source=f"{mine}/a.png")


def test_a_folder_is_copied_without_system_files(tmp_path, raw, log):
    files = make_files(2)
    mine = write_folder(tmp_path / "mine", files | {"cat/.DS_Store": b"", ".git/config": b""})
    (mine / ".git/link").symlink_to("config")  # a system folder is not entered
    assert fetch(raw, source=["/no/such/place", str(mine)]) == files
    assert "/no/such/place does not exist; trying the next" in log.messages[0]
    assert any("mine: skipped" in message for message in log.messages)

    sha256 = load_source(raw).sha256
    fetch(raw, source=str(mine), sha256=sha256)
    with pytest.raises(
        UserError, match=f"sha256 of its list of files should be 0+, but is {sha256}"
    ):
        fetch(raw, source=str(mine), sha256="0" * 64)


def test_an_archive_of_images_is_downloaded_by_url(server, tmp_path, raw):
    archive = write_tar(tmp_path / "images.tar", make_files(2)).read_bytes()
    server.files["/a/images.tar?version=2"] = archive
    source = f"{server.url}/a/images.tar?version=2"
    assert fetch(raw, source=source, sha256=digest(archive)) == {"images.tar": archive}
    assert load_source(raw).source == source
    server.files[f"/{'a' * 300}.tar"] = archive
    assert list(fetch(raw, source=f"{server.url}/{'a' * 300}.tar")) == ["a" * 251 + ".tar"]


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
        ("~nobody-here/x", "~nobody-here/x does not exist"),
        ("s3://bucket/x.tar", "data.source: .*https:// address or a local path"),
        ("file:///no/such%20place", "data.source: /no/such place does not exist"),
        ("FILE://localhost/no/such%20place", "data.source: /no/such place does not exist"),
    ],
)
def test_an_invalid_source_is_an_error(source, message, raw):
    with pytest.raises(UserError, match=message):
        fetch(raw, source=source)


def test_a_folder_is_not_copied_into_itself(tmp_path):
    write_folder(tmp_path, make_files(1))
    with pytest.raises(UserError, match="where it would be copied to"):
        fetch(tmp_path / "data/raw", source=str(tmp_path))
