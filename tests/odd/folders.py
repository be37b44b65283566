"""Folders of images."""

import os
from collections.abc import Callable
from pathlib import Path

from alexnet.inference.image_paths import find_images
from tests.data.making import make_files, write_folder, write_tar, write_zip
from tests.odd.case import Case, Changes

FLAT = make_files(8)
SPLIT = make_files(4, ("train", "val", "test"))
(IMAGE, *_) = FLAT.values()
NOTE = b"a note, and no image\n"
ALL = "^16 images of cat, dog$"
ALL_SPLIT = "^24 images of cat, dog$"
CAFE, CAFE_IN_TWO = "caf\u00e9", "cafe\u0301"  # composed and decomposed


def of(
    files: dict[str, bytes], *, then: Callable[[Path], object] | None = None
) -> Callable[[Path], Changes]:
    """A folder of these files; `then` changes it."""

    def make(folder: Path) -> Changes:
        root = write_folder(folder / "images", files)
        if then:
            then(root)
        return {"source": str(root)}

    return make


def renamed(old: str, new: str, files: dict[str, bytes] | None = None) -> dict[str, bytes]:
    """Files whose paths have `new` instead of `old`."""
    return {name.replace(old, new): body for name, body in (files or FLAT).items()}


def split(*names: str) -> dict[str, bytes]:
    return make_files(4, names)


def linked(target: str, name: str) -> Callable[[Path], object]:
    return lambda root: (root / name).symlink_to(target)


def into_a_cache(root: Path) -> None:
    """Each file a link into a cache, as DVC and the Hugging Face hub have it."""
    cache = root.parent / "cache"
    cache.mkdir()
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        path.rename(cache / str(number))
        path.symlink_to(os.path.relpath(cache / str(number), path.parent))


def class_elsewhere(root: Path) -> None:
    (root / "dog").rename(root.parent / "elsewhere")
    (root / "dog").symlink_to("../elsewhere")


def found(folder: Path, changes: Changes) -> str:
    """What `alexnet predict` finds in the folder."""
    return " ".join(path.name for path in find_images([Path(changes["source"])]))


def archives(*names: str) -> Callable[[Path], Changes]:
    """A folder with an archive for each split, and a README."""

    def make(folder: Path) -> Changes:
        root = write_folder(folder / "images", {"README.md": NOTE})
        for name in names:
            if name.endswith(".zip"):
                write_zip(root / name, make_files(4))
            else:
                write_tar(root / name, make_files(4), "w:gz")
        return {"source": str(root)}

    return make


def zipped_classes(folder: Path) -> Changes:
    for name in ("cat", "dog"):
        images = {f"{name}/{i}.png": FLAT[f"{name}/00{i}.png"] for i in range(8)}
        write_zip(folder / "images" / f"{name}.zip", images | {"__MACOSX/._x.png": b""})
    return {"source": str(folder / "images")}


CASES = [
    Case("folder: one folder for each class", of(FLAT), ALL),
    # Splits and folders around them.
    Case("folder: Train/ VALID/ Testing/", of(split("Train", "VALID", "Testing")), ALL_SPLIT),
    Case("folder: training_set/ test_set/", of(split("training_set", "test_set")), "^16 images"),
    Case(
        "folder: train/ and training/",
        of(split("train", "training")),
        "error: .*train and training both mean the train images",
    ),
    Case(
        "folder: three folders around it",
        of({f"a/b/c/{name}": body for name, body in FLAT.items()}),
        ALL,
    ),
    Case(
        "folder: folders around it, a README beside each",
        of({f"a/b/{n}": b for n, b in SPLIT.items()} | {"README": NOTE, "a/README.md": NOTE}),
        ALL_SPLIT,
    ),
    Case(
        "folder: a level too many in one split",
        of(renamed("train/", "train/images/", SPLIT)),
        ALL_SPLIT,
    ),
    Case("folder: a level too many in a class", of(renamed("cat/", "cat/images/")), ALL),
    Case(
        "folder: two levels of classes",
        of(
            {f"pets/{n}": b for n, b in FLAT.items()}
            | {"wild/fox/0.png": IMAGE}
            | {"wild/owl/0.png": IMAGE}
        ),
        r"error: .*lies a level too deep\n  found:\n    pets/\n      cat/",
    ),
    Case(
        "folder: only images",
        of({f"{i}.png": IMAGE for i in range(3)}),
        "lies in no class\n  found",
    ),
    Case(
        "folder: images in splits without classes",
        of({"train/0.png": IMAGE, "test/0.png": IMAGE}),
        "no folder for each class in test, train\n  found",
    ),
    Case(
        "folder: one class", of({"cat/0.png": IMAGE}), "only the class cat; two are needed\n  found"
    ),
    Case("folder: test/ but no train/", of(split("test")), "has test but no train/"),
    Case(
        "folder: images beside the splits",
        of(SPLIT | {"extra/0.png": IMAGE}),
        "extra lies beside the splits, in none",
    ),
    Case(
        "folder: classes called train and bus",
        of(renamed("cat", "train")),
        "16 images of dog, train",
    ),
    Case(
        "folder: classes called test and train in splits",
        of(make_files(4, ("train", "test"), ("test", "train"))),
        "^16 images of test, train$",
    ),
    Case(
        "folder: a class without images",
        of(FLAT, then=lambda root: (root / "eel").mkdir()),
        "eel holds no",
    ),
    Case("folder: nothing", of({}, then=lambda root: root.mkdir()), "error: .*holds no images"),
    # Archives in it.
    Case(
        "folder: train.zip and test.zip",
        archives("train.zip", "test.zip"),
        "^16 images of cat, dog$",
    ),
    Case("folder: train.tar.gz and test.zip", archives("train.tar.gz", "test.zip"), "^16 images"),
    Case("folder: an archive of each class", zipped_classes, ALL),
    Case(
        "folder: train/ and train.zip",
        lambda folder: archives("train.zip")(folder) | of(split("train"))(folder),
        "error: .*train and train.zip both mean the train images",
    ),
    Case(
        "folder: a 7z in it",
        of(FLAT | {"val.7z": b"7z\xbc\xaf\x27\x1c"}),
        r"val\.7z .*is a 7z archive",
    ),
    # Links.
    Case("folder: links into a cache", of(FLAT, then=into_a_cache), ALL),
    Case("folder: a link to the folder of a class", of(FLAT, then=class_elsewhere), ALL),
    Case(
        "folder: a link to an image",
        of(FLAT, then=linked("../dog/000.png", "cat/8.png")),
        "^17 images",
    ),
    Case(
        "folder: a link to nothing",
        of(FLAT, then=linked("gone", "cat/8.png")),
        "8.png is a link to gone, ",
    ),
    Case(
        "folder: a link to itself", of(FLAT, then=linked("8.png", "cat/8.png")), "leads in a circle"
    ),
    Case(
        "folder: a link to the folder above",
        of(FLAT, then=linked("..", "cat/up")),
        "that it lies in",
    ),
    Case(
        "folder: a pipe",
        of(FLAT, then=lambda root: os.mkfifo(root / "cat/pipe.png")),
        r"cat/pipe\.png is a device or a pipe",
    ),
    # Files that are no images, and images that do not look like it.
    Case(
        "folder: system files of every kind",
        of(
            FLAT
            | dict.fromkeys(
                ["cat/thumbs.db", "Desktop.ini", "cat/Icon\r", "@eaDir/cat/0.png"], b"x"
            )
            | dict.fromkeys(["__pycache__/a.pyc", "$RECYCLE.BIN/0.png", "cat/._000.png"], b"x")
        ),
        ALL,
    ),
    Case(
        "folder: notes beside the classes",
        of(
            FLAT | dict.fromkeys(["README", "LICENSE", "labels.csv", "classes.txt", "a.json"], NOTE)
        ),
        ALL,
    ),
    Case(
        "folder: a note in a class",
        of(FLAT | {"cat/a.txt": NOTE}),
        "cat/a.txt is no image of a kind",
    ),
    Case(
        "folder: a photo of a phone in a class",
        of(FLAT | {"cat/a.heic": NOTE}),
        "save it as PNG or JPEG",
    ),
    Case("folder: images without a suffix", of(renamed(".png", "")), ALL),
    Case("folder: images called .jpg.jpg", of(renamed(".png", ".jpg.jpg")), ALL),
    Case(
        "folder: images called .JFIF and .jpe",
        of(renamed("0.png", "0.JFIF", renamed("1.png", "1.jpe"))),
        ALL,
    ),
    Case(
        "folder: predict finds the same suffixes",
        of({"a.JFIF": IMAGE, "b.jpe": IMAGE, "c.txt": NOTE, "Thumbs.DB/d.png": IMAGE}),
        "^a.JFIF b.jpe$",
        found,
    ),
    # Names of classes.
    Case(
        "folder: a class in two forms of Unicode in two splits",
        of(
            make_files(4, ("train",), (CAFE, "dog"))
            | make_files(4, ("test",), (CAFE_IN_TWO, "dog"))
        ),
        f"^16 images of {CAFE}, dog$",
    ),
    Case(
        "folder: a class in two forms of Unicode",
        of(make_files(4, (), (CAFE, CAFE_IN_TWO))),
        "form in Unicode",
    ),
    Case(
        "folder: cat/ and Cat/",
        of(make_files(4, (), ("cat", "Cat"))),
        "differ only in upper and lower",
    ),
    Case(
        "folder: a space behind a name",
        of(make_files(4, (), ("cat", "cat "))),
        "differ only in spaces",
    ),
    Case(
        "folder: train/cat and test/Cat",
        of(renamed("test/cat", "test/Cat", SPLIT)),
        "differ only in upper",
    ),
]
