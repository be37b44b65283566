"""The project that the faults hit: this checkout's code, and a user's images and notes."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from ruamel.yaml import YAML

from alexnet.files import sha256
from tests.conftest import STAGES, real_digits, write_params
from tests.stages.projects import ENVIRONMENT, ROOT, copy_code

MEGABYTES = {"project": 400, "cache": 400, "checkpoints": 100, "tmp": 200}  # its disks
PATIENCE_SECONDS = 300.0  # far more than a whole run takes
IMAGES = Path("data/own")  # the user's, and data.source
NOTES = (Path("reports/notes.md"), Path("models/older.bin"), Path("data/raw.txt"))
OUTPUTS = ("data", "models", "reports", "artifacts")
CHANGES = {
    "data__name": "folder", "data__source": str(IMAGES), "data__channels": 1,
    "data__val_fraction": 0.2, "data__test_fraction": 0.2,
    "train__epochs": 30, "train__batch_size": 32, "train__device": "cpu",
    "train__precision": "fp32", "train__checkpoint_seconds": 0.2, "model__dropout": 0.2,
    "train__ema_decay": 0.9, "train__cutout": 8, "train__degrees": 10.0,
    "gate__min_accuracy": 0.5, "plot__num_mistakes": 1, "plot__num_samples": 2,
}  # fmt: skip
# Hold the time that something took, and so differ from run to run.
TIMED = ("reports/profile/*", "reports/train/live.json", "reports/report.html")
TIMED_FIGURES = ("reports/figures/costs.*",)


@dataclass
class Project:
    """Below `base`: the project, DVC's cache, the checkpoints, TMPDIR.

    expected: the digests of the outputs of an undisturbed run. lock: dvc.lock's stages after it.
    seconds: how long the process of each stage lived in it. saved: a copy of what it left.
    """

    base: Path
    expected: dict[str, str] = field(default_factory=dict)
    lock: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    saved: Path = Path()

    def __post_init__(self) -> None:
        for name in MEGABYTES:
            (self.base / name).mkdir(parents=True, exist_ok=True)
        copy_code(self.folder)
        shutil.copytree(ROOT / "ci", self.folder / "ci")
        shutil.copy(ROOT / "Makefile", self.folder)
        config = self.folder / ".dvc/config"
        config.write_text(f"{config.read_text()}[cache]\n    dir = {self.base / 'cache'}\n")
        narrow(self.folder / "alexnet/network/model.py")
        write_params(self.folder, **CHANGES)
        self.own = self._add_own_files()

    @property
    def folder(self) -> Path:
        return self.base / "project"

    def _add_own_files(self) -> dict[Path, bytes]:
        """Files of the user's: images, 40 of each digit, and notes among the outputs."""
        images, labels = real_digits()
        for digit in range(10):
            (self.folder / IMAGES / str(digit)).mkdir(parents=True)
            for index, image in enumerate(images[labels == digit][:40, ::4, ::4, 0]):
                Image.fromarray(image.numpy()).save(
                    self.folder / IMAGES / f"{digit}/{index:02}.png"
                )
        for path in NOTES:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(f"not to be lost: {path}")
        own = [*NOTES, *(path.relative_to(self.folder) for path in self._own_images())]
        return {path: (self.folder / path).read_bytes() for path in own}

    def _own_images(self) -> list[Path]:
        return sorted((self.folder / IMAGES).rglob("*.png"))

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | ENVIRONMENT | {
            "PYTHONPATH": str(self.folder),
            "STAGE_RUNTIME": "host",
            "ALEXNET_CHECKPOINTS": str(self.base / "checkpoints"),
            "TMPDIR": str(self.base / "tmp"),
            "MPLCONFIGDIR": str(self.base / "tmp"),
            "DVC_SITE_CACHE_DIR": str(self.base / "tmp/dvc"),
            "OMP_NUM_THREADS": "1",
            "CHAOS": str(self.base),
        }  # fmt: skip

    def start(self, *command: str, to_log: bool = True) -> subprocess.Popen[bytes]:
        """Start `make repro`, or another command, in a session of its own, its output in `log`.

        to_log: False for an output that is read through a pipe.
        """
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command or ("make", "repro", "READY="),
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log if to_log else subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def log(self) -> Path:
        return self.base / "log"

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def run(self, *command: str) -> int:
        """Run a command to its end, undisturbed: its exit code."""
        return self.start(*command).wait(PATIENCE_SECONDS)

    def processes(self) -> dict[int, list[str]]:
        """The command line of every process that a command of this project has started."""
        mark = f"CHAOS={self.base}".encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    line = (process / "cmdline").read_bytes().decode(errors="replace")
                    found[int(process.name)] = line.rstrip("\0").split("\0")
            except OSError:  # it has ended
                continue
        return {pid: line for pid, line in found.items() if line != [""]}  # no zombies

    def current_stage(self) -> str | None:
        """The stage whose process (not its runner) is at work."""
        lines = self.processes().values()
        return next((s for s in STAGES for line in lines if f"stages.{s}" in line), None)

    def wait_for_the_end(self) -> list[str]:
        """Wait for every process; the command lines of those that do not end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while left := self.processes():
            if time.monotonic() > deadline:
                for pid in left:
                    os.kill(pid, signal.SIGKILL)
                return [" ".join(line) for line in left.values()]
            time.sleep(0.05)
        return []

    def recorded(self) -> dict[str, Any]:
        """The stages of dvc.lock."""
        path = self.folder / "dvc.lock"
        if not path.exists():
            return {}
        stages: dict[str, Any] = YAML(typ="safe").load(path)["stages"]
        return stages

    def recorded_outs(self) -> list[str]:
        return [out["path"] for entry in self.recorded().values() for out in entry["outs"]]

    def remove(self, path: Path) -> None:
        """A file, or a folder; no error if it is gone."""
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def missing(self) -> list[str]:
        """The user's files that are gone or changed."""
        return [
            str(path)
            for path, content in self.own.items()
            if not (self.folder / path).is_file() or (self.folder / path).read_bytes() != content
        ]

    def ahead(self) -> list[str]:
        """The stages that dvc.lock does not record yet."""
        return [stage for stage in STAGES if stage not in self.recorded()]

    def outputs(self) -> dict[str, str]:
        """The digest of every file that the pipeline has written, but those that hold a time."""
        digests = {}
        for folder in OUTPUTS:
            for path in sorted((self.folder / folder).rglob("*")):
                name = path.relative_to(self.folder)
                if path.is_file() and name not in self.own and not is_timed(name):
                    digests[name.as_posix()] = sha256(path)
        return digests

    def compare_with(self, other: "Project") -> None:
        """Take another project's undisturbed run for this one's."""
        self.expected, self.lock, self.seconds = other.expected, other.lock, other.seconds
        self.saved = other.saved

    def differences(self) -> list[str]:
        """The outputs that are not byte for byte those of the undisturbed run."""
        outputs = self.outputs()
        names = self.expected.keys() | outputs.keys()
        return sorted(name for name in names if outputs.get(name) != self.expected.get(name))

    def reset(self, num_done: int = 0) -> None:
        """As after an undisturbed run that ended with its first `num_done` stages."""
        for folder in (self.base / "cache", self.base / "checkpoints"):
            for path in folder.iterdir():
                self.remove(path)
        self.remove(self.folder / ".dvc/tmp")
        self.remove(self.base / "tmp/dvc")
        self._remove_outputs()
        stages = {name: entry for name, entry in self.lock.items() if name in STAGES[:num_done]}
        self.remove(self.folder / "dvc.lock")
        if stages:
            shutil.copytree(self.saved / "cache", self.base / "cache", dirs_exist_ok=True)
            self.remove(self.base / "cache/runs")  # else DVC takes the other stages from there
            with (self.folder / "dvc.lock").open("w") as file:
                YAML().dump({"schema": "2.0", "stages": stages}, file)
        for out in (out["path"] for entry in stages.values() for out in entry["outs"]):
            saved, here = self.saved / out, self.folder / out
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(saved, here) if saved.is_dir() else shutil.copy2(saved, here)

    def save(self) -> None:
        """Keep the outputs and the cache of an undisturbed run, for `reset`."""
        self.expected, self.lock = self.outputs(), self.recorded()
        self.saved = self.base / "saved"
        shutil.copytree(self.base / "cache", self.saved / "cache")
        for folder in OUTPUTS:
            shutil.copytree(self.folder / folder, self.saved / folder)

    def _remove_outputs(self) -> None:
        for folder in OUTPUTS:
            for path in sorted((self.folder / folder).rglob("*"), reverse=True):
                if path.is_dir() and not any(path.iterdir()):
                    path.rmdir()
                elif path.is_file() and path.relative_to(self.folder) not in self.own:
                    path.unlink()


def mount_disks(base: Path) -> None:
    """Make the folders of a project disks of their own, which can be filled."""
    for name, size in MEGABYTES.items():
        disk = base / name
        disk.mkdir(parents=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "chaos", str(disk)]
        subprocess.run(mount, check=True)


def unmount_disks(bases: Sequence[Path]) -> None:
    """Unmount them, in use or not, so that their folders can be removed."""
    disks = [str(base / name) for base in bases for name in MEGABYTES]
    subprocess.run(["umount", "--lazy", "--quiet", *disks], check=False)


def is_timed(name: Path) -> bool:
    return any(name.match(pattern) for pattern in (*TIMED, *TIMED_FIGURES))


def narrow(model: Path) -> None:
    """Leave `cifar` a 16th of its channels, so that a step takes milliseconds."""
    text = model.read_text()
    start, end = text.index("class AlexNetCifar"), text.index("class AlexNetImageNet2012")
    channels = re.compile(r"\b(96|256|384|4096)\b(?! *\d)")
    slim = channels.sub(lambda match: str(int(match[0]) // 16), text[start:end])
    model.write_text(text[:start] + slim + text[end:])


def undisturbed(project: Project) -> None:
    """Run the pipeline once in peace; its bytes and its times are what is compared with."""
    process = project.start()
    begun: dict[str, float] = {}
    seen: dict[str, float] = {}
    while process.poll() is None:
        stage = project.current_stage()
        if stage:
            seen[stage] = time.monotonic()
            begun.setdefault(stage, seen[stage])
        time.sleep(0.02)
    if process.returncode:
        sys.exit(f"the undisturbed run failed:\n{project.output()}")
    project.seconds = {stage: seen[stage] - begun[stage] for stage in begun}
    project.save()
