"""Small inputs that claim to be huge end in a message with the limit, and in little memory."""

import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_MIB = 64  # above that of a process that has read a good archive; each input claims far more


def png(width: int, height: int) -> bytes:
    """A picture of zeros, whose pixels are missing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes | int]) -> None:
    """A tar.gz; in place of a content, a number of zero bytes."""
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for info, content in members:
            info.size = content if isinstance(content, int) else len(content)
            archive.addfile(info, Zeros() if isinstance(content, int) else io.BytesIO(content))


class Zeros(io.RawIOBase):
    def read(self, size: int = -1) -> bytes:
        return bytes(size)


def member(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    return info


def extended(kind: bytes) -> Callable[[Path], None]:
    return lambda path: tar(path, (member("x", kind), 100 << 20), (member("cat/0.png"), b"x"))


def deep_folder(path: Path) -> None:
    path.mkdir()
    for part in ["d"] * 70:
        path /= part
        path.mkdir()


def large_file(path: Path) -> None:
    for name in ("cat", "dog"):
        (path / name).mkdir(parents=True)
        with (path / name / "0.png").open("wb") as file:
            file.truncate(1 << 40)


def large_image(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("cat/0.png", "dog/0.png"):
            archive.writestr(name, png(30_000, 5_000))


def many_members(path: Path) -> None:
    from alexnet.data import archive

    archive.MAX_MEMBERS = 1000
    tar(path, *((member(f"cat/{number}.png"), b"") for number in range(1001)))


def sparse_by_pax(path: Path) -> None:
    """The map of a sparse file is read up to a line's end, which never comes."""
    info = member("cat/0.png")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}
    tar(path, (info, 1 << 20))


def deep_tar(path: Path) -> None:
    tar(path, (member("d/" * 10_000 + "0.png"), b""))


# What writes each input, and what its message says.
INPUTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "deep tar": (deep_tar, "a name of more than 1,024 bytes"),
    "deep zip": (
        lambda path: zipfile.ZipFile(path, "w").writestr("d/" * 70 + "0.png", b""),
        "more than 64 folders deep",
    ),
    "deep folder": (deep_folder, "more than 64 folders deep"),
    "long name": (
        lambda path: tar(path, (member("n" * 1025), b"")),
        "a name of more than 1,024 bytes",
    ),
    "GNU name": (extended(tarfile.GNUTYPE_LONGNAME), "104,857,600 bytes; at most 1,048,576"),
    "pax": (extended(tarfile.XHDTYPE), "104,857,600 bytes; at most 1,048,576"),
    "sparse": (
        lambda path: tar(path, (member("cat/0.png", tarfile.GNUTYPE_SPARSE), b"")),
        "it has sparse files",
    ),
    "sparse by pax": (sparse_by_pax, "it has sparse files"),
    "large file": (large_file, "too many for an image; the limit is 268,435,456"),
    "large image": (large_image, "30,000 x 5,000 pixels; at most 134,217,728"),
    "many members": (many_members, "holds more than 1,000 files and folders"),
}


def read_all(path: Path) -> str:
    """The message of the error that reading and decoding end in."""
    from alexnet.data.decode import decode_items
    from alexnet.data.folder import read_folder
    from alexnet.errors import UserError

    try:
        index = read_folder(path)
        chunks = list(decode_items(index.items(), len(index), 8, 3, 1))
    except UserError as error:
        return str(error)
    return "".join(failure.reason for chunk in chunks for failure in chunk.failures)


def measure() -> dict[str, tuple[str, float]]:
    """(message, growth of the peak memory in MiB) of each input."""
    import resource

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    result = {}
    with tempfile.TemporaryDirectory() as name:
        for kind, (write, _) in INPUTS.items():
            root = Path(name) / kind
            root.mkdir()
            write(root / "x")
            before = peak()
            files = root / "x" if (root / "x").is_dir() else root
            result[kind] = (read_all(files), peak() - before)
    return result


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[str, float]]:
    """From a process of its own, whose memory nothing else has used."""
    script = (
        "import json; from tests.data.test_hostile import measure; print(json.dumps(measure()))"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", INPUTS)
def test_the_limit_is_in_the_message_and_the_memory_is_bounded(found, kind):
    message, growth = found[kind]
    assert INPUTS[kind][1] in message
    assert len(message) < 300
    assert growth < MAX_MIB
