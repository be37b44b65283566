"""Folders and archives of images: classes, splits, and what is misplaced."""

import random

import numpy as np
import pytest

from alexnet.data.folder import read_folder
from alexnet.errors import UserError

from .making import make_files, write_folder, write_tar, write_zip

SPLIT = make_files(3, ("train", "test"))
FLAT = make_files(3)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def test_splits_of_the_folder_are_kept(folder):
    index = read_folder(write_folder(folder, SPLIT))
    assert index.classes == ("cat", "dog")
    assert index.split.tolist() == ["test"] * 6 + ["train"] * 6  # sorted by path
    assert index.labels.tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert {item.name: item.content for item in index.items()} == SPLIT


def test_files_may_be_links_as_dvc_makes_them_to_its_cache(folder, tmp_path):
    write_folder(folder, FLAT)
    for number, name in enumerate(FLAT):
        (folder / name).rename(tmp_path / str(number))
        (folder / name).symlink_to(tmp_path / str(number))
    assert {item.name: item.content for item in read_folder(folder).items()} == FLAT


@pytest.mark.parametrize("classes", [("cat", "dog"), ("bus", "train")])
def test_a_folder_of_classes_is_all_train(folder, classes):
    index = read_folder(write_folder(folder, make_files(2, classes=classes)))
    assert index.classes == classes, "a class may be called train"
    assert set(index.split) == {"train"}


@pytest.mark.parametrize("prefix", ["./", "wrap/", "./wrap/"])
@pytest.mark.parametrize("files", [SPLIT, FLAT])
def test_a_single_folder_around_everything_is_skipped(folder, prefix, files):
    write_tar(folder / "x.tar", {prefix + name: files[name] for name in files})
    index = read_folder(folder)
    assert index.classes == ("cat", "dog")
    assert len(index) == len(files)


def test_the_index_does_not_depend_on_the_order_in_an_archive(tmp_path):
    names = list(SPLIT)
    random.Random(1).shuffle(names)
    indices = []
    for number, order in enumerate((list(SPLIT), names, names[::-1])):
        write = write_zip if number == 2 else write_tar
        path = write(tmp_path / str(number) / "x", {name: SPLIT[name] for name in order})
        indices.append(read_folder(path.parent))
    items = [sorted((item.index, item.name) for item in index.items()) for index in indices]
    for index, found in zip(indices, items, strict=True):
        np.testing.assert_array_equal(index.labels, indices[0].labels)
        np.testing.assert_array_equal(index.split, indices[0].split)
        assert found == items[0]


def test_system_files_are_skipped_and_counted(folder, log):
    names = ["__MACOSX/train/._a.png", "train/cat/.DS_Store", "train/Thumbs.db", "desktop.ini"]
    write_zip(folder / "x.zip", SPLIT | dict.fromkeys(names, b""))
    assert len(read_folder(folder)) == len(SPLIT)
    assert log.messages == ["x.zip: skipped 4 hidden or system file(s)"]


def without(*starts):
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
def test_misplaced_files_and_classes_are_named(folder, files, message):
    with pytest.raises(UserError, match=message):
        read_folder(write_folder(folder, files))


def test_a_class_without_images_is_named(folder):
    (folder / "train/eel").mkdir(parents=True)
    with pytest.raises(UserError, match="train/eel holds no images"):
        read_folder(write_folder(folder, SPLIT))


def test_a_path_that_an_archive_has_twice_is_named(folder):
    write_tar(folder / "x.tar", FLAT | {"./cat/000.png": b"other"})
    with pytest.raises(UserError, match=r"holds cat/000\.png twice"):
        read_folder(folder)
