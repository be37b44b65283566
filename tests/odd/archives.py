"""Archives of images."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.data.making import make_files, unicode_path, write_raw_zip, write_tar, write_zip
from tests.odd.case import Case, Changes

FLAT = make_files(8)
(IMAGE, *_) = FLAT.values()
ALL = "^16 images of cat, dog$"


def zipped(name: str = "x.zip", **files: bytes) -> Callable[[Path], Changes]:
    return lambda folder: {"source": str(write_zip(folder / name, FLAT | files))}


def raw_zip(encoding: str = "utf-8", cat: str = "cat", slash: str = "/", **fields: Any) -> Any:
    """A zip with names in this encoding, another name of the class, another separator."""

    def make(folder: Path) -> Changes:
        names = {name: name.replace("cat", cat).replace("/", slash) for name in FLAT}
        files = {names[name].encode(encoding): body for name, body in FLAT.items()}
        return {"source": str(write_raw_zip(folder / "x.zip", files, **fields))}

    return make


def starting(content: bytes, name: str = "x.zip") -> Callable[[Path], Changes]:
    def make(folder: Path) -> Changes:
        (folder / name).write_bytes(content * 100)
        return {"source": str(folder / name)}

    return make


def self_extracting(folder: Path) -> Changes:
    content = write_zip(folder / "x.zip", FLAT).read_bytes()
    (folder / "x.exe").write_bytes(b"MZ" + bytes(5000) + content)
    return {"source": str(folder / "x.exe")}


def tar_with(kind: bytes, target: str, mode: Any = "w:gz") -> Callable[[Path], Changes]:
    """A tar whose last member, cat/z.png, is a link of this kind."""

    def make(folder: Path) -> Changes:
        with tarfile.open(folder / "x.tar", mode) as archive:
            for name, content in FLAT.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            info = tarfile.TarInfo("cat/z.png")
            info.type, info.linkname = kind, target
            archive.addfile(info)
        return {"source": str(folder / "x.tar")}

    return make


def twice(folder: Path) -> Changes:
    files = {name.encode(): body for name, body in FLAT.items()}
    return {"source": str(write_raw_zip(folder / "x.zip", files | {b"cat\\000.png": IMAGE}))}


def kaggle(folder: Path) -> Changes:
    inner = write_zip(folder / "train.zip", FLAT).read_bytes()
    return {"source": str(write_zip(folder / "x.zip", {"train.zip": inner, "sample.csv": b"1,2"}))}


def around(folder: Path) -> Changes:
    files = {f"./a/b/{name}": content for name, content in FLAT.items()}
    return {"source": str(write_tar(folder / "x.tgz", files | {"./a/README": b"text"}, "w:gz"))}


def compressed(method: int) -> Callable[[Path], Changes]:
    def make(folder: Path) -> Changes:
        with zipfile.ZipFile(folder / "x.zip", "w", method) as archive:
            for name, content in FLAT.items():
                archive.writestr(name, content)
        return {"source": str(folder / "x.zip")}

    return make


CASES = [
    Case("zip: plain", zipped(), ALL),
    Case("zip: bzip2", compressed(zipfile.ZIP_BZIP2), ALL),
    Case("zip: LZMA", compressed(zipfile.ZIP_LZMA), ALL),
    Case("zip: called .tar", zipped("x.tar"), ALL),
    Case("zip: backslashes of Windows", raw_zip(slash="\\"), ALL),
    Case("zip: a name with a slash and with a backslash", twice, "holds cat/000.png twice"),
    Case("zip: UTF-8, and its flag", raw_zip(cat="猫", flags=0x800), "^16 images of dog, 猫$"),
    Case("zip: UTF-8 without the flag", raw_zip(cat="猫"), "^16 images of dog, 猫$"),
    Case("zip: GBK", raw_zip("gbk", "狗狗"), "^16 images of dog, ╣╖╣╖$"),
    Case(
        "zip: Shift JIS with a backslash in a character",
        raw_zip("shift-jis", "表"),
        r"of dog, ò\\$",
    ),
    Case("zip: cp437", raw_zip("cp437", "caté"), "^16 images of caté, dog$"),
    Case(
        "zip: GBK and the Unicode Path",
        raw_zip("gbk", "猫", extra=unicode_path("gbk")),
        "^16 images of dog, 猫$",
    ),
    Case("zip: encrypted", raw_zip(flags=1), "x.zip: cat/000.png is encrypted; extract it"),
    Case("zip: Deflate64", raw_zip(method=9), "compressed by Deflate64, which is not read"),
    Case("zip: Zstandard", raw_zip(method=93), "compressed by Zstandard, which is not read"),
    Case("zip: self-extracting", self_extracting, ALL),
    Case("zip: an archive in it", kaggle, "train.zip is an archive in an archive; extract x.zip"),
    Case("zip: a part of several", starting(b"PK\7\x08"), "is a part of a zip in several parts"),
    Case("exe: no zip in it", starting(b"MZ\x90", "x.exe"), "a Windows program; it is no self-ext"),
    Case("7z", starting(b"7z\xbc\xaf\x27\x1c", "x.7z"), "is a 7z archive; extract it and name"),
    Case(
        "7z called zip", starting(b"7z\xbc\xaf\x27\x1c"), r"x\.zip cannot be read: it is a 7z arch"
    ),
    Case("rar", starting(b"Rar!\x1a\x07\x01", "x.rar"), "is a RAR archive; extract it"),
    Case("tar.zst", starting(b"\x28\xb5\x2f\xfd", "x.tar.zst"), "compressed by Zstandard"),
    Case("a web page called zip", starting(b"<!DOCTYPE html>"), "is a web page, as of a login"),
    Case(
        "a Git LFS pointer",
        starting(b"version https://git-lfs.github.com/spec/v1\n"),
        "run `git lfs pull`",
    ),
    Case("one image", starting(b"\xff\xd8\xff\xe0", "x.jpg"), "one image; a folder or an archive"),
    Case("tar: folders around it, a README beside them", around, ALL),
    Case("tar: a hard link", tar_with(tarfile.LNKTYPE, "dog/000.png"), "^17 images of cat, dog$"),
    Case(
        "tar: a hard link to nothing",
        tar_with(tarfile.LNKTYPE, "gone"),
        "z.png is a hard link to gone",
    ),
    Case(
        "tar: a hard link outside", tar_with(tarfile.LNKTYPE, "/etc/passwd"), "is outside the arch"
    ),
    Case(
        "tar: a symbolic link", tar_with(tarfile.SYMTYPE, "000.png"), "z.png is a link or a device"
    ),
    Case("tar: a device", tar_with(tarfile.CHRTYPE, ""), "z.png is a link or a device"),
]
