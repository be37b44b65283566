import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from alexnet.data.archive import iter_members
from alexnet.errors import UserError

from .making import make_files, write_folder, write_tar, write_zip

FILES = make_files(20)


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(member.path): member.read() for member in iter_members(root) if not member.is_folder
    }


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2"])
def test_a_tar_under_whatever_name(tmp_path: Path, mode: str) -> None:
    assert contents(write_tar(tmp_path / "download", FILES, mode)) == FILES


def test_a_zip_and_a_folder(tmp_path: Path) -> None:
    assert contents(write_zip(tmp_path / "x.zip", FILES)) == FILES
    assert contents(write_folder(tmp_path / "x", FILES)) == FILES


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz", "w:bz2", "zip"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_archive_is_named(tmp_path: Path, mode: str, share: float) -> None:
    path = tmp_path / "images"
    write_zip(path, FILES) if mode == "zip" else write_tar(path, FILES, mode)
    # A plain tar ends in padding that nobody misses; each image takes two blocks of it.
    size = len(FILES) * 1024 if mode == "w" else path.stat().st_size
    os.truncate(path, int(size * share))
    with pytest.raises(UserError, match=r"images cannot be read .* get it again"):
        contents(path)


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "zip"])
def test_a_flipped_bit_is_noticed(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "images"
    write_zip(path, FILES) if mode == "zip" else write_tar(path, FILES, mode)
    content = bytearray(path.read_bytes())
    # In a zip, some bytes of a header mean nothing: take one of an image.
    place = content.index(b"IDAT") if mode == "zip" else len(content) // 3
    content[place] ^= 16
    path.write_bytes(content)
    with pytest.raises(UserError, match="images cannot be read"):
        contents(path)


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", FILES)
    content = bytearray(path.read_bytes())
    start = content.index(b"dog/003.png")
    content[start] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.tar cannot be read"):
        contents(path)


@pytest.mark.parametrize("name", ["../evil.png", "/etc/evil.png", "cat/../../evil.png"])
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_member_that_would_escape_is_named(tmp_path: Path, kind: str, name: str) -> None:
    write = write_tar if kind == "tar" else write_zip
    path = write(tmp_path / "x", FILES | {name: b""})
    with pytest.raises(UserError, match=f"{name} would lie outside"):
        contents(path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar_are_named(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("cat/odd.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(UserError, match=r"x\.tar: cat/odd\.png is a link or a device"):
        contents(tmp_path / "x.tar")


def test_a_link_in_a_zip_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        info = zipfile.ZipInfo("cat/odd.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match=r"cat/odd\.png is a link"):
        contents(tmp_path / "x.zip")


def test_a_member_of_absurd_size_is_not_read(tmp_path: Path) -> None:
    class Zeros(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return bytes(size)

    with tarfile.open(tmp_path / "x.tar.gz", "w:gz", compresslevel=1) as archive:
        info = tarfile.TarInfo("cat/bomb.png")
        info.size = (1 << 28) + 1
        archive.addfile(info, Zeros())
    with pytest.raises(UserError, match=r"cat/bomb\.png has 268,435,457 bytes"):
        contents(tmp_path / "x.tar.gz")


def test_a_file_that_is_no_archive(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>Please log in</html>" * 100)
    with pytest.raises(UserError, match=r"page\.html cannot be read .* tar, tar\.gz"):
        contents(tmp_path / "page.html")
