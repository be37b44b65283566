"""Archives and folders are read file by file; damage and hostile members raise errors."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from alexnet.data.archive import iter_members
from alexnet.errors import UserError

from .making import make_files, unicode_path, write_folder, write_raw_zip, write_tar, write_zip

FILES = make_files(20)
ARCHIVES = ["w", "w:gz", "w:xz", "w:bz2", "zip"]


def write(path, kind, files=FILES):
    if kind in ("zip", "folder"):
        return (write_zip if kind == "zip" else write_folder)(path, files)
    return write_tar(path, files, kind)


def read_all(root):
    return {str(m.path): m.read() for m in iter_members(root) if not m.is_folder}


@pytest.mark.parametrize("kind", [*ARCHIVES, "folder"])
def test_files_are_read_whatever_the_archive_is_called(tmp_path, kind):
    assert read_all(write(tmp_path / "download", kind)) == FILES


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_archive_is_an_error(tmp_path, kind, share):
    path = write(tmp_path / "images", kind)
    # A plain tar ends in padding, which may be missing; each image takes two blocks of 512.
    size = len(FILES) * 1024 if kind == "w" else path.stat().st_size
    os.truncate(path, int(size * share))
    with pytest.raises(UserError, match=r"images cannot be read .* get it again"):
        read_all(path)


@pytest.mark.parametrize("kind", ["w", "w:gz"])
def test_a_tar_joined_to_another_is_an_error(tmp_path, kind):
    """Else the second would be lost: a reader ends at the zeros after the first."""
    path = write(tmp_path / "images", kind)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(UserError, match=r"images: something follows the end of the tar.*--ignore-"):
        read_all(path)


@pytest.mark.parametrize(
    ("kind", "target"),
    [("w:gz", None), ("w:xz", None), ("zip", b"IDAT"), ("w", b"dog/003.png")],
    ids=["gz", "xz", "an image in a zip", "a tar's header"],
)
def test_a_flipped_bit_is_an_error(tmp_path, kind, target):
    path = write(tmp_path / "images", kind)
    content = bytearray(path.read_bytes())
    content[content.index(target) if target else len(content) // 3] ^= 16
    path.write_bytes(content)
    with pytest.raises(UserError, match="images cannot be read"):
        read_all(path)


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "cat/../../evil.png"])
@pytest.mark.parametrize("kind", ["w", "zip"])
def test_a_member_outside_the_archive_is_an_error(tmp_path, kind, name):
    path = write(tmp_path / "x", kind, FILES | {name: b""})
    with pytest.raises(UserError, match=f"{name} is outside"):
        read_all(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, "zip"])
def test_a_link_or_device_is_an_error(tmp_path, kind):
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "x", "w") as archive:
            info = zipfile.ZipInfo("cat/odd.png")
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    else:
        with tarfile.open(tmp_path / "x", "w") as archive:
            info = tarfile.TarInfo("cat/odd.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    with pytest.raises(UserError, match=r"x: cat/odd\.png is a link or a device"):
        read_all(tmp_path / "x")


def test_a_member_larger_than_any_image_is_not_read(tmp_path):
    class Zeros(io.RawIOBase):
        def read(self, size=-1):
            return bytes(size)

    with tarfile.open(tmp_path / "x.tar.gz", "w:gz", compresslevel=1) as archive:
        info = tarfile.TarInfo("cat/bomb.png")
        info.size = (1 << 28) + 1
        archive.addfile(info, Zeros())
    with pytest.raises(UserError, match=r"cat/bomb\.png has 268,435,457 bytes"):
        read_all(tmp_path / "x.tar.gz")


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"<html>Please log in</html>", "a web page"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive; extract it .* or pack it as zip or tar.gz"),
        (b"Rar!\x1a\x07\x01", "a RAR archive; extract"),
        (b"\x28\xb5\x2f\xfd", r"compressed by Zstandard \(tar.zst\); extract"),
        (b"MZ\x90", "a Windows program; it is no self-extracting zip"),
        (b"\xff\xd8\xff\xe0", "one image; a folder or an archive"),
        (b"cat,0.png\n", r"\(.*\): it should be a complete tar"),
    ],
)
def test_a_file_that_is_not_an_archive_is_named_for_what_it_is(tmp_path, start, message):
    (tmp_path / "x.zip").write_bytes(start * 100)
    with pytest.raises(UserError, match=rf"x\.zip cannot be read.* {message}"):
        read_all(tmp_path / "x.zip")


def test_the_zip_in_a_self_extracting_program_is_read(tmp_path):
    content = write_zip(tmp_path / "x.zip", FILES).read_bytes()
    (tmp_path / "x.exe").write_bytes(b"MZ" + bytes(3000) + content)
    assert read_all(tmp_path / "x.exe") == FILES


def test_backslashes_of_windows_separate_folders(tmp_path):
    files = {b"train\\cat\\0.png": b"x", b"train\\dog\\1.png": b"y"}
    for system in (0, 3):
        path = write_raw_zip(tmp_path / "x.zip", files, system)
        assert read_all(path) == {"train/cat/0.png": b"x", "train/dog/1.png": b"y"}
    path = write_raw_zip(tmp_path / "x.zip", {b"cat/0.png": b"", b"a\\b.png": b""}, system=3)
    assert list(read_all(path)) == ["cat/0.png", "a\\b.png"], "on Unix, a part of a name"


NAMES = ["猫/0.png", "狗/0.png", "表/0.png"]  # in Shift JIS the last has a byte 0x5c, a backslash


@pytest.mark.parametrize(
    ("encoding", "flags", "extra", "expected", "is_guessed"),
    [
        ("utf-8", 0x800, False, NAMES, False),
        ("utf-8", 0, False, NAMES, True),
        ("gbk", 0, False, ["├¿/0.png", "╣╖/0.png", "▒φ/0.png"], True),
        ("gbk", 0, True, NAMES, False),
        ("shift-jis", 0, False, ["öL/0.png", "ïτ/0.png", "ò\\/0.png"], True),
    ],
)
def test_names_in_a_zip_are_decoded_as_it_says_or_else_readable(
    tmp_path, encoding, flags, extra, expected, is_guessed
):
    files = {name.encode(encoding): b"x" for name in NAMES}
    fields = {"extra": unicode_path(encoding)} if extra else {}
    members = list(iter_members(write_raw_zip(tmp_path / "x.zip", files, flags=flags, **fields)))
    assert [str(member.path) for member in members] == expected
    assert {member.is_name_guessed for member in members} == {is_guessed}


@pytest.mark.parametrize(
    ("flags", "method", "message"),
    [
        (1, 8, "is encrypted"),
        (1, 99, "is encrypted"),
        (0, 9, "is compressed by Deflate64, which is not read; extract it"),
        (0, 93, "is compressed by Zstandard"),
        (0, 77, "is compressed by method 77"),
    ],
)
def test_what_zipfile_cannot_read_is_named(tmp_path, flags, method, message):
    path = write_raw_zip(tmp_path / "x.zip", {b"cat/0.png": b"x"}, flags=flags, method=method)
    with pytest.raises(UserError, match=rf"x\.zip: cat/0\.png {message}"):
        read_all(path)


@pytest.mark.parametrize(
    ("target", "message"),
    [("/etc/passwd", "/etc/passwd is outside"), ("../x.png", r"\.\./x\.png is outside")],
)
def test_a_hard_link_to_the_outside_is_an_error(tmp_path, target, message):
    with tarfile.open(tmp_path / "x", "w") as archive:
        info = tarfile.TarInfo("cat/odd.png")
        info.type, info.linkname = tarfile.LNKTYPE, target
        archive.addfile(info)
    with pytest.raises(UserError, match=message):
        list(iter_members(tmp_path / "x"))


def test_links_of_a_folder_are_followed_but_not_nowhere_or_in_a_circle(tmp_path):
    root = write_folder(tmp_path / "root", FILES)
    (root / "cat/link.png").symlink_to("../dog/000.png")
    (root / "kitten").symlink_to(write_folder(tmp_path / "other", {"0.png": b"x"}))
    expected = FILES | {"cat/link.png": FILES["dog/000.png"], "kitten/0.png": b"x"}
    assert read_all(root) == expected
    for target, message in [
        ("nowhere", "cat/odd is a link to nowhere, which does not exist"),
        ("odd", "cat/odd is a link to odd, which does not exist or leads in a circle"),
        ("..", "cat/odd is a link to a folder that it lies in"),
    ]:
        (root / "cat/odd").symlink_to(target)
        with pytest.raises(UserError, match=message):
            read_all(root)
        (root / "cat/odd").unlink()
