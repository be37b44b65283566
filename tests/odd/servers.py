"""What servers answer."""

import gzip
import lzma
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from alexnet.data import download, transfer
from tests.data.conftest import Server
from tests.data.making import make_files, mnist_files, write_tar
from tests.odd.case import Case, Changes, preprocessed
from tests.odd.sources import outcome as with_small_sets

PAGE = b"<!DOCTYPE html>\n<html><title>Sign in</title></html>"
IMAGES = "16 images of cat, dog"


def served(change: Callable[[Server], Any], name: str = "/images.tar") -> Callable[..., str]:
    """The outcome of data.source as the address of an archive on a server, after `change`."""

    def outcome(folder: Path, content: bytes) -> str:
        waits: list[float] = []
        patient = partial(transfer.fetch, sleep=waits.append)
        with Server().running() as server, mock.patch.object(download, "fetch", patient):
            server.files[name] = content
            change(server)
            try:
                text = preprocessed(folder, {"source": server.url + name})
            except Exception as error:
                raise type(error)(str(error).replace(server.url, "URL")) from None
        return text + (f", after {waits[0]:.0f} s" if waits else "")

    return outcome


def archive(folder: Path) -> bytes:
    return write_tar(folder / "a.tar", make_files(8)).read_bytes()


def archive_gz(folder: Path) -> bytes:
    return gzip.compress(archive(folder))


def answers(*plan: Any, **headers: str) -> Callable[..., str]:
    def change(server: Server) -> None:
        server.plan, server.headers = list(plan), headers

    return served(change)


def body(content: bytes) -> Callable[..., str]:
    return served(lambda server: server.files.update({"/images.tar": content}))


def mnist(
    pack: Callable[[bytes], bytes], suffix: str = ".gz", address: str = ""
) -> Callable[..., str]:
    """The outcome of MNIST from a server."""

    def outcome(folder: Path, _: Changes) -> str:
        with Server().running() as server:
            server.files |= {f"/{k}{suffix}": pack(v) for k, v in mnist_files().items()}
            return with_small_sets(folder, {"name": "mnist", "source": f"{server.url}/{address}"})

    return outcome


def nothing(_: Path) -> Changes:
    return {}


def refuse(server: Server) -> None:
    server.login = "Basic eA=="


CASES = [
    Case("server: an archive", archive, f"^{IMAGES}$", answers()),
    Case("server: a length of letters", archive, f"^{IMAGES}$", answers(**{"Content-Length": "x"})),
    Case("server: a negative length", archive, f"^{IMAGES}$", answers(**{"Content-Length": "-1"})),
    Case("server: cut in the middle", archive, f"^{IMAGES}, after 1 s$", answers("cut")),
    Case(
        "server: asks to wait 9 s",
        archive,
        f"^{IMAGES}, after 9 s$",
        answers((503, {"Retry-After": "9"})),
    ),
    Case(
        "server: asks to wait a day",
        archive,
        f"^{IMAGES}, after 120 s$",
        answers((429, {"Retry-After": "86400"})),
    ),
    Case(
        "server: asks to wait, not a time",
        archive,
        f"^{IMAGES}, after 1 s$",
        answers((429, {"Retry-After": "later"})),
    ),
    Case(
        "server: busy for ever", archive, "^error: .*failed 5 times.*HTTP 503", answers(*[503] * 9)
    ),
    Case("server: no such file", archive, "^error: .*HTTP 404", answers(404)),
    Case("server: a login is asked for", archive, r"^error: .*401.*~/\.netrc", served(refuse)),
    Case("server: a login page as the file", archive, "^error: .*gives a web page", body(PAGE)),
    Case("server: an empty file", archive, "^error: .*gives an empty file", body(b"")),
    Case("server: half an archive", archive, "^error: .*URL.*cannot be read", body(b"cat" * 50)),
    Case(
        "server: a pointer of Git LFS",
        archive,
        "^error: .*gives a pointer of Git LFS",
        body(b"version https://git-lfs.github.com/spec/v1\n"),
    ),
    Case(
        "server: compresses on the way",
        archive_gz,
        f"^{IMAGES}$",
        answers(**{"Content-Encoding": "gzip"}),
    ),
    Case(
        "server: calls a tar.gz encoded",
        archive_gz,
        f"^{IMAGES}$",
        served(lambda s: s.headers.update({"Content-Encoding": "x-gzip"}), "/images.tar.gz"),
    ),
    Case(
        "server: compresses as br",
        archive,
        "^error: .*encoding br",
        answers(**{"Content-Encoding": "br"}),
    ),
    Case(
        "server: redirects to http",
        archive,
        "^error: .*use https",
        served(lambda s: s.redirects.update({"/images.tar": "http://example.org/x"})),
    ),
    Case("server: MNIST", nothing, "^60 images of 0, 1", mnist(gzip.compress)),
    Case("server: MNIST, not compressed", nothing, "^60 images", mnist(bytes, "")),
    Case("server: MNIST as xz, named gz", nothing, "^60 images", mnist(lzma.compress)),
    Case(
        "server: MNIST, one of its addresses",
        nothing,
        "^60 images",
        mnist(gzip.compress, address="t10k-labels-idx1-ubyte.gz"),
    ),
]
