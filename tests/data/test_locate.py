"""The published data sets in the folders that people and programs make of them."""

import gzip
import os

import pytest

from alexnet.data.catalog import DATASETS
from alexnet.data.download import download
from alexnet.data.locate import find_changes, locate
from alexnet.data.source import load_source
from alexnet.errors import UserError

from .making import cifar_files, make_config, make_files, mnist_files, small_spec, write_folder

IDX = mnist_files()
TRAIN = "train-images-idx3-ubyte"


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("", "{stem}.gz"),
        ("", "{stem}"),
        ("", "{dotted}"),
        ("", "{stem}.xz"),
        (f"{TRAIN}.gz", "{stem}.gz"),
        ("MNIST/raw", "MNIST/raw/{stem}"),
        ("MNIST", "MNIST/raw/{stem}"),
        ("", "MNIST/raw/{stem}"),
        ("", "{stem}/{stem}"),
    ],
    ids=str,
)
def test_the_four_files_are_found(tmp_path, source, place):
    places = {s: place.format(stem=s, dotted=s.replace("-idx", ".idx")) for s in IDX}
    write_folder(tmp_path, {at: stem.encode() for stem, at in places.items()})
    write_folder(tmp_path, {"FashionMNIST/raw/" + stem: b"other" for stem in IDX})
    found = locate("mnist", str(tmp_path / source))
    suffix = place[place.rfind(".") :] if place.endswith(("gz", "xz")) else ""
    assert dict(found) == {stem + suffix: tmp_path / at for stem, at in places.items()}


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
@pytest.mark.parametrize("source", ["", "{folder}", "{folder}/{first}"])
def test_the_extracted_archive_is_found(tmp_path, name, source):
    folder = {"cifar10": "cifar-10-batches-bin", "cifar100": "cifar-100-binary"}[name]
    files = cifar_files(name)
    write_folder(tmp_path / folder, files)
    found = locate(name, str(tmp_path / source.format(folder=folder, first=next(iter(files)))))
    assert dict(found) == {
        file: tmp_path / folder / file for file in files if file != "readme.html"
    }


@pytest.mark.parametrize(
    ("name", "files", "source", "message"),
    [
        ("mnist", {TRAIN: b"x"}, "", "lacks train-labels-idx1-ubyte, t10k.*give the folder"),
        ("mnist", {"mnist.npz": b"x"}, "mnist.npz", "is no file of mnist; give the folder"),
        ("cifar10", {"x.png": b"x"}, "", "is not in it; give cifar-10-binary.tar.gz"),
        ("cifar10", {"cifar-10-batches-py/test_batch": b"x"}, "", "pickles, which are never op"),
        ("cifar10", {"py/data_batch_1": b"x"}, "py", "pickles, which are never op"),
        ("cifar10", {"data_batch_1": b"x"}, "data_batch_1", "pickles, which are never op"),
        ("cifar10", {"cifar-10-python.tar.gz": b"x"}, "", "pickles, which are never op"),
        ("cifar100", {"cifar-100-python/train": b"x"}, "", "pickles, .*cifar-100-binary"),
        ("cifar100", {"train": b"x"}, "train", "pickles, .*cifar-100-binary"),
        ("folder", {"a": b"x"}, "a ", "; remove the spaces around it"),
    ],
)
def test_another_form_is_an_error_that_names_the_right_one(tmp_path, name, files, source, message):
    write_folder(tmp_path, files)
    with pytest.raises(UserError, match=f"^{tmp_path}.*{message}"):
        locate(name, f"{tmp_path}/{source}")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("example.org/images.zip", "an address starts with https://"),
        ("https:/example.org/images.zip", "an address starts with https://"),
        (r"C:\\Users\\me\\images", "a path of Windows"),
        ("$HOME/images", "variables are not expanded"),
        ("images.v2/cats", "^images.v2/cats does not exist$"),
    ],
)
def test_a_path_that_does_not_exist_may_be_something_else(source, hint):
    with pytest.raises(UserError, match=hint):
        locate("folder", source)


EXCHANGED = ["cat/000.png", "dog/000.png"]
DANGLING = "mine: cat/x is a link to y, which does not exist or leads in a circle; restore the file"
DANGLING += " or remove the link"


def exchange(first, second):
    """As one who mends a label does; of old files of equal size."""
    first.rename(first.with_name("aside"))
    second.rename(first)
    first.with_name("aside").rename(second)
    for path in (first, second):
        os.utime(path, (1e8, 1e8))


@pytest.fixture
def copied(tmp_path):
    """Download a folder of images; a function that finds the changes in it since then."""
    mine = write_folder(tmp_path / "mine", make_files(2) | {"cat/.DS_Store": b""})
    same_size = (mine / "cat/000.png").read_bytes()[::-1]
    (mine / "dog/000.png").write_bytes(same_size)
    download(make_config(source=str(mine)), tmp_path / "raw")
    os.utime(tmp_path / "raw/source.json", (1e9, 1e9))
    return lambda: find_changes(tmp_path / "raw", load_source(tmp_path / "raw"))


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        (lambda cat: None, []),
        (lambda cat: os.utime(cat / "000.png", (2e9, 2e9)), []),  # copied again, say
        (lambda cat: (cat / "000.png").write_bytes(b"short"), ["cat/000.png"]),
        (lambda cat: (cat / "000.png").unlink(), ["cat/000.png"]),
        (lambda cat: (cat / "new.png").write_bytes(b"new"), ["cat/new.png"]),
        (lambda cat: (cat / ".hidden").write_bytes(b"new"), []),
        (lambda cat: cat.parent.rename(cat.parent.with_name("moved")), []),
        (lambda cat: exchange(cat / "000.png", cat.parent / "dog/000.png"), EXCHANGED),
        (lambda cat: (cat / "x").symlink_to("y"), [DANGLING]),
    ],
    ids="nothing times size removed added hidden moved-away exchanged unreadable".split(),  # noqa: SIM905
)
def test_a_change_since_the_download_is_found(tmp_path, copied, change, changes):
    change(tmp_path / "mine/cat")
    assert copied() == changes


def test_a_change_of_the_same_size_is_found_by_its_time(tmp_path, copied):
    path = tmp_path / "mine/cat/000.png"
    path.write_bytes(path.read_bytes()[::-1])
    assert copied() == ["cat/000.png"]
    os.utime(tmp_path / "raw/source.json", (1e10, 1e10))  # later than the change: not read again
    assert copied() == []


def test_changes_of_a_published_data_set_are_found(tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS, "mnist", small_spec("mnist"))
    mine = write_folder(
        tmp_path / "MNIST/raw", {f"{k}.gz": gzip.compress(v) for k, v in IDX.items()}
    )
    download(make_config(name="mnist", source=str(tmp_path)), tmp_path / "raw")
    source = load_source(tmp_path / "raw")
    assert find_changes(tmp_path / "raw", source) == []
    (mine / f"{TRAIN}.gz").write_bytes(gzip.compress(b"more" + IDX[TRAIN]))
    assert find_changes(tmp_path / "raw", source) == [f"{TRAIN}.gz"]
