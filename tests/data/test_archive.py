"""Archives and folders are read file by file; damage and hostile members raise errors."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from alexnet.data.archive import iter_members
from alexnet.errors import UserError

from .making import make_files, write_folder, write_tar, write_zip

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


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, "zip"]
)
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


def test_a_file_that_is_not_an_archive_is_an_error(tmp_path):
    (tmp_path / "page.html").write_text("<html>Please log in</html>" * 100)
    with pytest.raises(UserError, match=r"page\.html cannot be read .* tar, tar\.gz"):
        read_all(tmp_path / "page.html")
