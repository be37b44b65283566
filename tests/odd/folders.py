"""Folders of images."""

from pathlib import Path

from tests.data.making import make_files, write_folder
from tests.odd.case import Case, Changes


def plain(folder: Path) -> Changes:
    return {"source": str(write_folder(folder / "images", make_files(8)))}


CASES = [Case("folder: one folder for each class", plain, "^16 images of cat, dog$")]
