"""Folders and archives of images: classes, splits, and what is misplaced."""

import random
import tarfile

import numpy as np
import pytest

from alexnet.data.download import download
from alexnet.data.folder import read_folder
from alexnet.data.preprocess import preprocess
from alexnet.errors import UserError

from .making import make_config, make_files, write_folder, write_raw_zip, write_tar, write_zip

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


def test_system_files_of_any_case_are_skipped_and_counted(folder):
    names = ["__MACOSX/train/._a.png", "train/cat/.DS_Store", "train/thumbs.db", "Desktop.ini"]
    names += ["train/cat/Icon\r", "train/@eaDir/cat.png", "__pycache__/x.pyc", "$RECYCLE.BIN/1.png"]
    names += ["train/cat/000.png:Zone.Identifier"]
    write_zip(folder / "x.zip", SPLIT | dict.fromkeys(names, b""))
    index = read_folder(folder)
    assert (len(index), index.system_files) == (len(SPLIT), tuple(sorted(names)))


def test_a_hidden_folder_of_a_folder_is_named(folder):
    index = read_folder(write_folder(folder, FLAT | {".net/0.png": FLAT["cat/000.png"]}))
    assert (index.classes, index.system_files) == (("cat", "dog"), (".net",))


def splits_of(index):
    """The number of images of each split."""
    return dict(zip(*np.unique(index.split, return_counts=True), strict=True))


@pytest.mark.parametrize(
    "names", ["Train VALID Testing", "training validation test", "Training_Set val_set test-set"]
)
def test_splits_may_have_other_names(folder, names):
    index = read_folder(write_folder(folder, make_files(2, names.split())))
    assert splits_of(index) == {"train": 4, "val": 4, "test": 4}
    assert index.classes == ("cat", "dog")


def test_folders_that_wrap_others_are_skipped_and_so_are_files_beside_splits(folder):
    notes = ["README", "a/b/train/labels.csv", "a/docs/x.xml", "a/b/test/w/w/notes.md"]
    files = {f"a/b/{name.replace('test/', 'test/w/w/')}": body for name, body in SPLIT.items()}
    index = read_folder(write_folder(folder, files | dict.fromkeys(notes, b"text")))
    assert splits_of(index) == {"train": 6, "test": 6}
    assert [remark for _, remark in index.remarks] == [
        "skipped 4 file(s) that are no images: "
        "README, a/b/test/w/w/notes.md, a/b/train/labels.csv and 1 more",
        "skipped 1 folder(s) without images: a/docs",
    ]


@pytest.mark.parametrize("within", ["", "inner/"])
def test_archives_in_a_folder_stand_for_folders(folder, within):
    files = {f"{within}{name}": body for name, body in make_files(2).items()}
    write_tar(folder / "Train.tar.gz", files, "w:gz")
    for name in ("cat", "dog"):
        images = {f"{within}{i}.png": SPLIT[f"test/{name}/00{i}.png"] for i in (0, 1)}
        write_zip(folder / "test" / f"{name}.zip", images)
    (folder / "README.md").write_text("text")
    index = read_folder(folder)
    assert (index.classes, splits_of(index)) == (("cat", "dog"), {"train": 4, "test": 4})
    found = {item.name: item.content for item in index.items()}
    assert found[f"test/dog.zip/{within}1.png"] == SPLIT["test/dog/001.png"]
    assert found[f"Train.tar.gz/{within}cat/000.png"] == make_files(2)["cat/000.png"]


def test_an_image_is_known_by_its_first_bytes_if_its_suffix_says_nothing(folder):
    names = dict(
        zip(FLAT, ["IMG_0001", "1.jpg.jpg", "2.JPE", "3.jfif", "4.png~", "5"], strict=True)
    )
    files = {f"{old[:3]}/{new}": FLAT[old] for old, new in names.items()}
    index = read_folder(write_folder(folder, files))
    assert {i.name: i.content for i in index.items()} == files
    ((_, remark),) = index.remarks
    assert remark == (
        "3 file(s) without the suffix of an image are images: cat/IMG_0001, dog/4.png~, dog/5"
    )


def test_a_hard_link_in_a_tar_is_the_file_that_it_names(folder):
    with tarfile.open(write_tar(folder / "x.tar", FLAT), "a") as archive:
        for name, target in (("dog/a", "cat/000.png"), ("dog/b.png", "dog/a")):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.LNKTYPE, target
            archive.addfile(info)
    found = {item.name: item.content for item in read_folder(folder).items()}
    assert found == FLAT | dict.fromkeys(["dog/a", "dog/b.png"], FLAT["cat/000.png"])


def test_a_name_in_two_forms_of_unicode_is_one_class(folder):
    files = make_files(2, ("train",), ("caf\u00e9", "dog"))
    files |= make_files(2, ("test",), ("cafe\u0301", "dog"))
    index = read_folder(write_folder(folder, files))
    assert index.classes == ("caf\u00e9", "dog")
    assert index.labels.tolist() == [0, 0, 1, 1] * 2


@pytest.mark.parametrize(
    ("classes", "difference"),
    [
        (("cat", "Cat"), "upper and lower case"),
        (("cat", "cat "), "spaces or invisible characters"),
        (("cat", "c\u200bat"), "spaces or invisible characters"),
        (("caf\u00e9", "cafe\u0301"), "their form in Unicode"),
    ],
)
def test_classes_that_look_the_same_are_named(folder, classes, difference):
    with pytest.raises(UserError, match=f"the classes '.*' and '.*' differ only in {difference}"):
        read_folder(write_folder(folder, make_files(2, classes=(*classes, "dog"))))


def without(*starts):
    return {name: content for name, content in SPLIT.items() if not name.startswith(starts)}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no images\n  found:\n  expected, with splits:"),
        (SPLIT | {"train/cat/notes.txt": b"x"}, "train/cat/notes.txt is no image of a kind that"),
        (SPLIT | {"loose.png": b"x"}, r"loose.png lies beside the splits(.|\n)*\n    loose.png\n"),
        (SPLIT | {"train/loose.png": b"x"}, "train/loose.png lies in no class"),
        (SPLIT | {"train/cat/deep/er.png": b"x"}, "train/cat/deep/er.png lies a level too deep"),
        ({"cat/a/0.png": b"", "dog/test/0.png": b""}, "dog/test/0.png lies a level too deep"),
        (
            SPLIT | {f"train/cat/{i}.txt": b"" for i in range(9)},
            "cat/0.txt, .*cat/1.txt, .*cat/2.txt and 6 more is no image",
        ),
        (SPLIT | {"more/cat/0.png": b"x"}, "more lies beside the splits, in none"),
        (SPLIT | {"Training/cat/0.png": b"x"}, "Training and train both mean the train images"),
        (FLAT | {"cat/0.nef": b"II*\0" + bytes(20)}, "cat/0.nef is no image of a kind"),
        (FLAT | {"eel/0.heic": b"x"}, "eel holds no images but eel/0.heic, of another kind"),
        ({"cat/0.heic": b"", "dog/0.heic": b""}, r"holds no images of a kind that is read \(.jpg"),
        ({"0.png": b"", "1.png": b""}, "0.png, 1.png lies in no class\n  found:\n    0.png\n"),
        (without("train"), "has test but no train/"),
        ({"train/0.png": b"", "test/1.png": b""}, "no folder for each class in test, train"),
        (without("train/dog", "test/dog"), "only the class cat; two are needed"),
        (without("test/dog"), "not both in train/ and in test/: dog; each split"),
        (SPLIT | {"val/cow/0.png": b"x"}, "not both in train/ and in val/: cat, cow, dog;"),
    ],
)
def test_misplaced_files_and_classes_are_named(folder, files, message):
    with pytest.raises(UserError, match=message):
        read_folder(write_folder(folder, files))


def test_a_class_without_images_is_named(folder):
    (folder / "train/eel").mkdir(parents=True)
    with pytest.raises(UserError, match="train/eel holds no images"):
        read_folder(write_folder(folder, SPLIT))


def test_names_of_a_zip_without_an_encoding_are_counted_in_one_warning(tmp_path, log):
    files = {name.replace("cat", "chatte\u0301").encode(): body for name, body in FLAT.items()}
    path = write_raw_zip(tmp_path / "x.zip", files)
    data = make_config(source=str(path))
    download(data, tmp_path / "raw")
    meta = preprocess(data, tmp_path / "raw", tmp_path / "processed", num_workers=1)
    assert meta.classes == ("chatt\u00e9", "dog")
    warnings = [each for each in log.records if each.levelname == "WARNING"]
    (message,) = (each.message for each in warnings if each.name != "alexnet.data.splits")
    assert message.startswith(f"{path}: does not say in which encoding 3 of its names are, such ")


def test_names_that_become_the_same_are_an_error(folder):
    write_raw_zip(folder / "x.zip", {b"cat\\0.png": b"", b"cat/0.png": b"", b"dog/0.png": b""})
    with pytest.raises(UserError, match=r"holds cat/0\.png twice"):
        read_folder(folder)


def test_an_archive_in_an_archive_is_an_error(folder):
    write_zip(folder / "x.zip", SPLIT | {"val.zip": b"PK"})
    with pytest.raises(UserError, match=r"val\.zip is an archive in an archive; extract x\.zip"):
        read_folder(folder)


def test_a_path_that_an_archive_has_twice_is_named(folder):
    write_tar(folder / "x.tar", FLAT | {"./cat/000.png": b"other"})
    with pytest.raises(UserError, match=r"holds cat/000\.png twice"):
        read_folder(folder)
