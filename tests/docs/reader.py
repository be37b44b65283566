"""A reader's machine: the repository to clone, what people have lying about, and a clone of it.

CIFAR-10 is a download. So in the clone in which the pages are read, params.yaml is that of the
demo, shorter: `make repro` there trains on the digits. README's own clone is as it comes.
"""

import os
import shutil
import subprocess
from functools import cached_property
from pathlib import Path

from PIL import Image

from tests.conftest import ROOT, real_digits, write_params
from tests.docs.walk import Terminal
from tests.photos import PHOTO, write_photos
from tests.stages.projects import AUTHOR, call, commit

READY = ROOT / ".venv/.ready"  # `make` has installed it
SHORT = {"train__epochs": 2, "gate__min_accuracy": 0.1, "plot__num_samples": 2}
EVERY_PRECISION = {
    "export__precisions": ["fp32", "fp16", "int8"],
    "export__max_accuracy_drop": 0.5,
    "export__max_label_change": 0.5,
}


class Reader:
    """`folder`: an empty one, in which all of it lies."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = self._put_code(folder / "origin")
        self.home = folder / "home"
        _write_classes(self.home / "photographs")
        PHOTO.save(self.home / "photo.jpg")
        browser = folder / "browser"
        browser.write_text(f'#!/bin/sh\necho "$1" >>{folder}/opened\n')
        browser.chmod(0o755)
        self.environment = (
            os.environ
            | AUTHOR
            | {
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "HOME": str(self.home),
                "NPM_CONFIG_USERCONFIG": str(Path.home() / ".npmrc"),  # where packages come from
                "VIRTUAL_ENV": "",
                "BROWSER": str(browser),
                "COLUMNS": "100",
                "DVC_NO_ANALYTICS": "1",
            }
        )
        # What stands in the pages for something of the reader's own.
        self.own = {
            "<this repository>": str(self.origin),
            "https://git.example.org/alexnet.git": str(self.origin),
            "storage s3://bucket/alexnet": f"storage {folder}/bucket",
            "/mnt/share/alexnet": f"{folder}/share",
            "/path/to/images": str(self.home / "photographs"),
            " photo.jpg": f" {self.home}/photo.jpg",
        }
        (folder / "share").mkdir()

    @cached_property
    def project(self) -> Path:
        """A clone after `make repro`, whose results are committed, and files that pages name."""
        clone = self.folder / "project"
        call(self.folder, "git", "clone", "--quiet", self.origin, clone)
        self.adopt(clone)
        write_params(clone, **SHORT, **EVERY_PRECISION)
        commit(clone)
        self.open(clone).type("make repro")
        commit(clone)
        call(clone, "git", "tag", "results")
        PHOTO.save(clone / "photo.jpg")
        PHOTO.resize((80, 60)).save(clone / "other.png")
        write_photos(clone / "photos")
        write_photos(clone / "more/deep")
        _write_classes(clone / "path/to/photographs")
        _write_scans(clone / "images")
        return clone

    @property
    def opened(self) -> list[str]:
        """The addresses that the browser was asked for."""
        opened = self.folder / "opened"
        return opened.read_text().split() if opened.exists() else []

    def begin(self, page: Path) -> Terminal:
        """Where a page begins: one that clones in an empty folder, others in the project."""
        if "git clone <this repository>" in page.read_text():
            place = self.folder / page.stem
            place.mkdir()
            return self.open(place)
        terminal = self.open(self.project)
        terminal.type("source .venv/bin/activate")
        terminal.type("git reset --quiet --hard results && dvc checkout --quiet --force")
        if "git commit" in page.read_text():
            terminal.type("git reset --quiet --soft HEAD~")  # the reader will commit them
        terminal.type("git push --quiet --force origin HEAD:main")
        return terminal

    def open(self, folder: Path) -> Terminal:
        # The environment has the code of the checkout under test, which may be another by now.
        environment = self.environment | {"PYTHONPATH": str(folder)}
        return Terminal(folder, environment, self.folder / "terminal")

    def adopt(self, clone: Path) -> None:
        """The environment of these tests is the clone's, as `make venv` has left it there."""
        (clone / ".venv").symlink_to(READY.parent)
        for name in ("requirements.lock", "pyproject.toml"):
            os.utime(clone / name, (0, 0))

    def translate(self, text: str) -> str:
        for theirs, own in self.own.items():
            text = text.replace(theirs, own)
        return text

    @staticmethod
    def _put_code(folder: Path) -> Path:
        """The checkout as it stands, committed."""
        folder.mkdir()
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        call(folder, "git", "init", "--quiet", "--initial-branch=main")
        commit(folder)
        call(folder, "git", "clone", "--quiet", "--bare", ".", folder.with_suffix(".git"))
        return folder.with_suffix(".git")


def _write_classes(folder: Path) -> None:
    """Sixty parts each of two halves of a photograph, as classes."""
    for name, left in (("left", 0), ("right", 320)):
        (folder / name).mkdir(parents=True)
        for k in range(60):
            x, y = left + 22 * (k % 10), 60 * (k // 10)
            PHOTO.crop((x, y, x + 80, y + 80)).save(folder / name / f"{k}.jpg")


def _write_scans(folder: Path) -> None:
    """Digits by class, as the example of docs/data.md has them."""
    images, labels = real_digits()
    for name, label, number in (("eight", 8, 170), ("nine", 9, 12)):
        (folder / name).mkdir(parents=True)
        for k, i in enumerate((labels == label).nonzero().flatten()[:number].tolist()):
            Image.fromarray(images[i, ::4, ::4, 0].numpy()).save(folder / name / f"{k}.png")
