"""Which files a command's arguments name: files, directories, patterns, links."""

import shutil

import pytest

from alexnet.errors import UserError
from alexnet.inference.image_paths import find_images
from tests.photos import NAMES, write_photos


@pytest.fixture
def images(tmp_path):
    return write_photos(tmp_path / "images")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([""], NAMES),
        (["*.png"], ["a.png"]),
        (["**/*.webp"], ["more/e.webp"]),
        (["d.PNG", "", "d.PNG"], ["d.PNG", *NAMES[:3], NAMES[4]]),  # each once
        (["none.png"], ["none.png"]),  # its reader reports it
        (["[a].png"], ["[a].png"]),  # a file's name, not a pattern
    ],
)
def test_files_directories_and_patterns(images, arguments, expected):
    if arguments == ["[a].png"]:
        shutil.copy(images / "a.png", images / "[a].png")
    found = find_images([images / argument for argument in arguments])
    assert found == [images / name for name in expected]


@pytest.mark.parametrize("name", ["empty", "*.gif", "none/*.png"])
def test_no_images(images, name):
    (images / "empty").mkdir()
    (images / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"contains no images|no file matches"):
        find_images([images / name])


def test_the_links_of_a_directory_are_followed(images, tmp_path, caplog):
    (tmp_path / "linked").symlink_to(images)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "more").symlink_to("../linked")
    (folder / "one.png").symlink_to("more/a.png")
    (folder / "back").symlink_to(".")
    (folder / "broken.png").symlink_to("none.png")
    names = ["more/" + name for name in NAMES]
    assert find_images([folder]) == [folder / name for name in (*names, "one.png")]
    assert f"{folder}: 4 file(s) left out" in caplog.text  # a note and a hidden file as well
    matched = find_images([folder / "**/*.png"])
    assert matched == [folder / "more" / name for name in NAMES if name.endswith(".png")] + [
        folder / "one.png"
    ]
