import random
from pathlib import Path

import numpy as np
import pytest

from alexnet.data.folder import read_folder
from alexnet.data.index import DatasetIndex
from alexnet.errors import UserError

from .making import make_files, write_folder, write_tar, write_zip

SPLIT = make_files(3, ("train", "test"))
FLAT = make_files(3)


def listed(tmp_path: Path, files: dict[str, bytes]) -> DatasetIndex:
    return read_folder(write_folder(tmp_path / "files", files), lambda _: None)


def test_given_splits(tmp_path: Path) -> None:
    listing = listed(tmp_path, SPLIT)
    assert listing.classes == ("cat", "dog")
    assert listing.given.tolist() == ["test"] * 6 + ["train"] * 6  # sorted by path
    assert listing.labels.tolist() == [0, 0, 0, 1, 1, 1] * 2
    contents = {item.name: item.content for item in listing.items()}
    assert contents == SPLIT


def test_classes_alone_are_all_to_be_split(tmp_path: Path) -> None:
    assert set(listed(tmp_path, FLAT).given) == {"train"}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    files = make_files(2, classes=("bus", "train"))
    assert listed(tmp_path, files).classes == ("bus", "train")


@pytest.mark.parametrize("prefix", ["./", "wrap/", "./wrap/"])
@pytest.mark.parametrize("files", [SPLIT, FLAT])
def test_what_wraps_everything_is_looked_through(
    tmp_path: Path, prefix: str, files: dict[str, bytes]
) -> None:
    (tmp_path / "files").mkdir()
    write_tar(tmp_path / "files/x.tar", {prefix + name: files[name] for name in files})
    listing = read_folder(tmp_path / "files", print)
    assert listing.classes == ("cat", "dog")
    assert len(listing) == len(files)


def test_the_order_in_an_archive_does_not_show(tmp_path: Path) -> None:
    names = list(SPLIT)
    random.Random(1).shuffle(names)
    listings = []
    for form, order in enumerate((list(SPLIT), names, names[::-1])):
        folder = tmp_path / str(form)
        folder.mkdir()
        write = write_zip if form == 2 else write_tar
        write(folder / "x", {name: SPLIT[name] for name in order})
        listings.append(read_folder(folder, print))
    for listing in listings[1:]:
        np.testing.assert_array_equal(listing.labels, listings[0].labels)
        np.testing.assert_array_equal(listing.given, listings[0].given)
        assert sorted((i.index, i.name) for i in listing.items()) == sorted(
            (i.index, i.name) for i in listings[0].items()
        )


def test_litter_is_skipped_and_counted(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    litter = dict.fromkeys(
        ["__MACOSX/train/._a.png", "train/cat/.DS_Store", "train/Thumbs.db", "desktop.ini"], b""
    )
    write_zip(tmp_path / "files/x.zip", SPLIT | litter)
    lines: list[str] = []
    assert len(read_folder(tmp_path / "files", lines.append)) == len(SPLIT)
    assert lines == ["x.zip: skipped 4 hidden or system file(s)"]


def without(*starts: str) -> dict[str, bytes]:
    return {name: content for name, content in SPLIT.items() if not name.startswith(starts)}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no images; expected train/<class>/<image>"),
        (SPLIT | {"train/cat/notes.txt": b"x"}, "train/cat/notes.txt does not belong"),
        (SPLIT | {"README.md": b"x"}, "README.md does not belong"),
        (SPLIT | {"train/loose.png": b"x"}, "train/loose.png does not belong"),
        (SPLIT | {"train/cat/deep/er.png": b"x"}, "train/cat/deep/er.png does not belong"),
        (
            SPLIT | {f"train/cat/{i}.txt": b"" for i in range(9)},
            "cat/0.txt, .*cat/1.txt, .*cat/2.txt and 6 more does",
        ),
        (SPLIT | {"valid/cat/0.png": b"x"}, "valid beside train/; only test/ and val/"),
        (without("train"), "has test but no train/"),
        ({"train/0.png": b"", "test/1.png": b""}, "no folder for each class in test, train"),
        (without("train/dog", "test/dog"), "only the class cat; two are needed"),
        (without("test/dog"), "dog is in only one of train/ and test/"),
        (SPLIT | {"val/cow/0.png": b"x"}, "cat, cow, dog is in only one of train/ and val/"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    (tmp_path / "files").mkdir()
    with pytest.raises(UserError, match=message):
        listed(tmp_path, files)


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "files/train/eel").mkdir(parents=True)
    with pytest.raises(UserError, match="train/eel holds no images"):
        listed(tmp_path, SPLIT)


def test_an_archive_that_holds_a_name_twice(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    write_tar(tmp_path / "files/x.tar", FLAT | {"./cat/000.png": b"other"})
    with pytest.raises(UserError, match=r"holds cat/000\.png twice"):
        read_folder(tmp_path / "files", print)
