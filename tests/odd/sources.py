"""Published data sets, and what people write in data.source."""

import contextlib
import gzip
import lzma
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import mock

from alexnet.data.catalog import DATASETS
from alexnet.errors import UserError
from tests.data.making import (
    cifar_files,
    make_files,
    mnist_files,
    small_spec,
    write_folder,
    write_tar,
)
from tests.odd.case import Case, Changes, preprocessed

SMALL = {name: small_spec(name) for name in ("mnist", "fashion-mnist")}
SMALL["cifar10"] = replace(DATASETS["cifar10"], counts={"train": 50, "test": 10})


def outcome(folder: Path, changes: Changes) -> str:
    """As by default, with small data sets in the place of the published ones."""
    with mock.patch.dict(DATASETS, SMALL):
        return preprocessed(folder, changes)


def mnist(
    place: str = "{}.gz",
    source: str = "",
    pack: Callable[[bytes], bytes] = gzip.compress,
    name: str = "mnist",
    files: str = "mnist",
) -> Callable[[Path], Changes]:
    """The files `files` at `place`, as the source of `name`."""

    def make(folder: Path) -> Changes:
        root = folder / "mine"
        write_folder(root, {place.format(k): pack(v) for k, v in mnist_files(files).items()})
        return {"name": name, "source": f"{root}/{source}"}

    return make


def the_four(folder: Path) -> Changes:
    mnist()(folder)
    return {"name": "mnist", "source": [str(path) for path in sorted((folder / "mine").iterdir())]}


def swapped(folder: Path) -> Changes:
    changes = mnist()(folder)
    mine = folder / "mine"
    (mine / "train-labels-idx1-ubyte.gz").rename(mine / "x")
    (mine / "t10k-labels-idx1-ubyte.gz").rename(mine / "train-labels-idx1-ubyte.gz")
    (mine / "x").rename(mine / "t10k-labels-idx1-ubyte.gz")
    return changes


def lacking(folder: Path) -> Changes:
    changes = mnist()(folder)
    (folder / "mine/t10k-labels-idx1-ubyte.gz").unlink()
    return changes


def cifar(place: str, source: str = "", **changed: bytes) -> Callable[[Path], Changes]:
    def make(folder: Path) -> Changes:
        files = cifar_files() | {f"{k}.bin": v for k, v in changed.items()}
        write_folder(folder, {f"mine/{place}{k}": v for k, v in files.items()})
        return {"name": "cifar10", "source": f"{folder}/mine/{source}"}

    return make


def cifar_tar(mode: str) -> Callable[[Path], Changes]:
    def make(folder: Path) -> Changes:
        path = write_tar(folder / "mine.tar", cifar_files(), mode)
        return {"name": "cifar10", "source": str(path)}

    return make


def cifar100(folder: Path) -> Changes:
    write_folder(folder / "mine", cifar_files("cifar100"))
    return {"name": "cifar10", "source": f"{folder}/mine"}


def pickles(source: str) -> Callable[[Path], Changes]:
    def make(folder: Path) -> Changes:
        files = {f"cifar-10-batches-py/data_batch_{i}": b"\x80\x02" for i in range(1, 6)}
        write_folder(folder / "mine", files)
        write_tar(folder / "tar/cifar-10-python.tar.gz", files, "w:gz")
        return {"name": "cifar10", "source": f"{folder}/{source}"}

    return make


def images(source: str) -> Callable[[Path], Changes]:
    """A folder of images, named as `source`."""

    def make(folder: Path) -> Changes:
        write_folder(folder / "my images", make_files(8))
        return {"source": source.format(folder)}

    return make


def file(content: bytes, file: str = "images.zip", **changes: str) -> Callable[[Path], Changes]:
    def make(folder: Path) -> Changes:
        (folder / file).write_bytes(content)
        return changes | {"source": f"{folder}/{file}"}

    return make


def mended(folder: Path, _: Changes) -> str:
    """The second run, after a first that failed."""
    mine = write_folder(folder / "mine", make_files(8) | {"cat/notes.txt": b"x"})
    changes = {"source": str(mine)}
    with contextlib.suppress(UserError):
        return preprocessed(folder, changes)
    (mine / "cat/notes.txt").unlink()
    return preprocessed(folder, changes)


SIXTY = "^60 images of 0, 1, 2"
RAW = "FashionMNIST/raw/{}"

CASES = [
    Case("MNIST: a folder", mnist(), SIXTY, outcome),
    Case("MNIST: one of the files", mnist(source="t10k-labels-idx1-ubyte.gz"), SIXTY, outcome),
    Case("MNIST: the list of all four", the_four, SIXTY, outcome),
    Case(
        "MNIST: gzipped by a distribution",
        mnist(pack=lambda content: gzip.compress(content, 1)),
        SIXTY,
        outcome,
    ),
    Case("MNIST: not compressed", mnist("{}", pack=bytes), SIXTY, outcome),
    Case("MNIST: not compressed, named gz", mnist(pack=bytes), SIXTY, outcome),
    Case("MNIST: xz", mnist("{}.xz", pack=lzma.compress), SIXTY, outcome),
    Case("MNIST: Kaggle's folders", mnist("{0}/{0}", pack=bytes), SIXTY, outcome),
    Case("MNIST: Fashion-MNIST instead", mnist(files="fashion-mnist"), "is .* of fash", outcome),
    Case("Fashion-MNIST: MNIST instead", mnist(name="fashion-mnist"), "is .* of mnist", outcome),
    Case("MNIST: labels swapped", swapped, "is t10k-labels.* of mnist, not train-labels", outcome),
    Case("MNIST: one is missing", lacking, "lacks t10k-labels-idx1-ubyte; give", outcome),
    Case(
        "MNIST: a file cut short", mnist(pack=lambda c: gzip.compress(c)[:-9]), "damaged", outcome
    ),
    Case("MNIST: mnist.npz", file(b"PK", "mnist.npz", name="mnist"), "give the folder", outcome),
    *(
        Case(
            f"torchvision: {source or 'its root'}",
            mnist(RAW, source, bytes, "fashion-mnist", "fashion-mnist"),
            "^60 images of t-shirt",
            outcome,
        )
        for source in ("", "FashionMNIST", "FashionMNIST/raw")
    ),
    Case("CIFAR: the extracted folder", cifar(""), "^60 images of airplane", outcome),
    Case("CIFAR: the folder around it", cifar("cifar-10-batches-bin/"), "^60 images", outcome),
    Case("CIFAR: one of its files", cifar("", "test_batch.bin"), "^60 images of airplane", outcome),
    Case("CIFAR: packed by somebody else", cifar_tar("w:gz"), "^60 images", outcome),
    Case("CIFAR: not compressed", cifar_tar("w"), "^60 images of airplane", outcome),
    Case("CIFAR: CIFAR-100 as CIFAR-10", cifar100, "data_batch_1.bin is expected", outcome),
    Case("CIFAR: half an image", cifar("", data_batch_1=bytes(1537)), "whole number", outcome),
    Case(
        "CIFAR: too few images", cifar("", test_batch=bytes(3073)), "but has .*'test': 1", outcome
    ),
    Case("CIFAR: a label too many", cifar("", test_batch=b"\x0b" * 30730), "up to 11", outcome),
    Case("CIFAR: pickles, the archive", pickles("tar/cifar-10-python.tar.gz"), "pickles, which"),
    Case("CIFAR: pickles, the folder", pickles("mine/cifar-10-batches-py"), "pickles, which"),
    Case("CIFAR: pickles, the folder around it", pickles("mine"), "pickles, which"),
    Case("CIFAR: a web page", file(b"<html>", "c.tar.gz", name="cifar10"), "is a web page"),
    Case("source: file://", images("file://{}/my%20images"), "^16 images of cat, dog$"),
    Case("source: file:/", images("file:{}/my images"), "write the path alone"),
    Case("source: a space after the path", images("{}/my images "), "remove the spaces"),
    Case("source: no https", images("example.org/images.zip"), "an address starts with https"),
    Case("source: a path of Windows", images("C:\\Users\\me\\images"), "a path of Windows"),
    Case("source: a variable", images("$HOME/images"), "variables are not expanded"),
    Case("source: ftp", images("ftp://example.org/images.zip"), "https:// address or a local"),
    Case("source: a saved web page", file(b"<!doctype html>"), "is a web page"),
    Case("source: an empty file", file(b""), "is an empty file"),
    Case("source: mended after a failure", images("x"), "^16 images of cat, dog$", mended),
]
