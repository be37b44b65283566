"""source.json lists the files of data/raw, and a later change of one is an error."""

import subprocess

import pytest

from alexnet.data.source import list_source, load_source, naming_origin, save_source
from alexnet.errors import UserError

from .making import make_files, write_folder


@pytest.fixture
def raw(tmp_path):
    write_folder(tmp_path / "files", make_files(2))
    save_source(tmp_path, list_source(tmp_path, "folder", "somewhere"))
    return tmp_path


def test_the_digest_is_that_of_the_output_of_sha256sum(raw):
    names = sorted(make_files(2))
    lines = subprocess.run(["sha256sum", *names], cwd=raw / "files", capture_output=True).stdout
    total = subprocess.run(["sha256sum"], input=lines, capture_output=True).stdout.split()[0]
    assert load_source(raw).sha256 == total.decode()


@pytest.mark.parametrize(
    ("name", "content"),
    [("001", b"changed"), ("001", None), ("001", "nowhere"), ("new", b"new")],
)
def test_a_changed_removed_or_added_file_is_named(raw, name, content):
    path = raw / f"files/cat/{name}.png"
    path.unlink(missing_ok=True)
    if isinstance(content, str):
        path.symlink_to(content)
    elif content:
        path.write_bytes(content)
    with pytest.raises(
        UserError, match=f"changed since the download: cat/{name}.png; run `dvc repro --force"
    ):
        load_source(raw)


def test_an_invalid_or_missing_list_is_an_error(raw):
    (raw / "source.json").write_text('{"name": "folder"}')
    with pytest.raises(
        UserError, match=r"source\.json: source: is missing; run the stage download"
    ):
        load_source(raw)
    (raw / "source.json").unlink()
    with pytest.raises(UserError, match=r"source.json does not exist; run the stage"):
        load_source(raw)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("files: cat is odd", "/mine: cat is odd; mend it"),
        ("a.tar cannot be read", "/mine cannot be read; mend it"),
        ("{files} lacks a", "/mine lacks a; mend it"),
        ("a.png does not decode", "/mine: a.png does not decode; mend it"),
    ],
)
def test_a_message_names_the_source_and_not_its_copy(tmp_path, message, expected):
    files = write_folder(tmp_path / "files", {"a.tar": b""})
    with pytest.raises(UserError) as caught, naming_origin(files, "/mine", "; mend it"):
        raise UserError(message.format(files=files))
    assert str(caught.value) == expected


def test_a_number_at_the_start_of_a_message_is_no_name(tmp_path):
    files = write_folder(tmp_path / "files", {"1": b""})
    with pytest.raises(UserError, match=r"^/mine: 1 of 13 images"), naming_origin(files, "/mine"):
        raise UserError("1 of 13 images cannot be read")
    files = write_folder(tmp_path / "wrapped", {"cat/1.png": b""})
    with pytest.raises(UserError, match=r"^/mine: cat holds"), naming_origin(files, "/mine"):
        raise UserError("cat holds no images")
