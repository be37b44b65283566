"""The faults: each hits a run at a random moment, and says what it did."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ruamel.yaml import YAML

from tests.chaos.project import PATIENCE_SECONDS, Project

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EDITS = {  # of params.yaml: each changes the output of the stage that it belongs to
    "preprocess": ("data", "split_seed", 1),
    "train": ("train", "learning_rate", 0.03),
    "evaluate": ("evaluate", "calibration_bins", 3),
    "gate": ("gate", "min_accuracy", 0.45),
    "plot": ("plot", "num_samples", 3),
    "export": ("export", "num_samples", 5),
}
FULL_DISK_SECONDS = 5.0


class Missed(Exception):  # noqa: N818 (not an error)
    """The run ended before the fault."""


PROCESSES = {
    "stage": r"-m stages\.[a-z]+( |$)",
    "runner": r"stages\.runtime\.runner",
    "dvc": r"/dvc repro",
    "make": r"^make repro",
}


def find(project: Project) -> dict[str, int]:
    """The processes of a run that there are now, by what they are."""
    lines = {pid: " ".join(line) for pid, line in project.processes().items()}
    return {
        name: pid
        for name, pattern in PROCESSES.items()
        for pid, line in lines.items()
        if re.search(pattern, line)
    }


def kill(project: Project, chance: random.Random, make: subprocess.Popen[bytes]) -> str:
    processes = find(project)
    target, signum = chance.choice(["group", *processes]), chance.choice(SIGNALS)
    try:
        if target == "group":
            os.killpg(make.pid, signum)
        else:
            os.kill(processes[target], signum)
    except ProcessLookupError:
        raise Missed from None
    return f"{signum.name} {target}"


def fill_disk(project: Project, chance: random.Random, make: subprocess.Popen[bytes]) -> str:
    """Leave a few kilobytes, or none, for some seconds; then the run is killed, if it goes on."""
    disk = chance.choice(("project", "cache", "checkpoints", "tmp"))
    balloon = project.base / disk / ".balloon"
    left = chance.choice((0, 0, 8192, 65536, 262144))
    space = os.statvfs(balloon.parent)
    # If something is written meanwhile, there is less: the disk is full all the same.
    with suppress(OSError), balloon.open("wb") as file:
        size = space.f_bavail * space.f_frsize - left
        os.posix_fallocate(file.fileno(), 0, max(size, 1))
    with suppress(subprocess.TimeoutExpired):
        make.wait(FULL_DISK_SECONDS)
    balloon.unlink()
    stop(make)
    return f"full disk {disk}"


def edit_params(project: Project, chance: random.Random, make: subprocess.Popen[bytes]) -> str:
    """Change a parameter of the stage at work; dvc.lock must not record the new value."""
    stage = project.current_stage()
    if stage not in EDITS:
        raise Missed
    path = project.folder / "params.yaml"
    section, key, value = EDITS[stage]
    with restored(path):
        yaml = YAML()
        values = yaml.load(path)
        values[section][key] = value
        yaml.dump(values, path)
        if project.current_stage() != stage:  # too late to say what has to happen
            raise Missed
        make.wait(PATIENCE_SECONDS)
        recorded = project.recorded().get(stage, {}).get("params", {})
        now = recorded.get("params.yaml", {}).get(f"{section}.{key}")
        if stage in ("evaluate", "gate", "plot", "export"):  # declared as a whole section
            now = recorded.get("params.yaml", {}).get(section, {}).get(key)
        assert now != value, f"dvc.lock records {section}.{key} {value} for what had another value"
    return "edit params.yaml"


def edit_code(project: Project, chance: random.Random, make: subprocess.Popen[bytes]) -> str:
    """Add a comment to a module of the stage at work."""
    stage = project.current_stage()
    if stage is None:
        raise Missed
    path = project.folder / f"stages/{stage}.py"
    before = project.recorded().get(stage)
    with restored(path):
        path.write_text(f"{path.read_text()}# {chance.random()}\n")
        if project.current_stage() != stage:
            raise Missed
        make.wait(PATIENCE_SECONDS)
        assert project.recorded().get(stage) == before, f"dvc.lock records another {path.name}"
    return "edit code"


def second_run(project: Project, chance: random.Random, make: subprocess.Popen[bytes]) -> str:
    """Start another one beside it; sometimes the first is killed as well."""
    other = project.start("dvc", "repro", to_log=False)
    time.sleep(chance.uniform(0, 4))
    if killed := chance.random() < 0.5:
        try:
            os.kill(find(project)["dvc"], signal.SIGKILL)
        except (KeyError, ProcessLookupError):
            raise Missed from None
    other.communicate(timeout=PATIENCE_SECONDS)
    make.wait(PATIENCE_SECONDS)
    return "second run, first DVC killed" if killed else "second run"


def damage_object(project: Project, chance: random.Random, make: subprocess.Popen[bytes]) -> str:
    """Cut or change an object of DVC's cache, and have DVC check it out."""
    stop(make)
    objects = sorted(p for p in project.base.glob("cache/files/md5/*/*") if p.stat().st_size > 8)
    if not objects:
        raise Missed
    path = chance.choice(objects)
    spoil(path, chance)
    for name in project.recorded_outs():
        project.remove(project.folder / name)
    project.run("dvc", "checkout")
    project.run("dvc", "repro")
    assert project.run("python", "-m", "ci.verify") != 0, f"{path} is damaged, and nobody says so"
    assert path.name in project.output().replace("/", ""), f"{path} is not named"
    # As the message says.
    for name in project.recorded_outs():
        project.remove(project.folder / name)
    path.unlink(missing_ok=True)
    return "damaged cache object"


def damage_checkpoint(
    project: Project, chance: random.Random, make: subprocess.Popen[bytes]
) -> str:
    stop(make)
    files = sorted(project.base.glob("checkpoints/*/step-*"))
    if not files:
        raise Missed
    spoil(chance.choice(files), chance)
    return "damaged checkpoint"


def lose_reader(project: Project, chance: random.Random, make: subprocess.Popen[bytes]) -> str:
    """Start it again with a reader that goes away after some lines."""
    stop(make)
    again = project.start(to_log=False)
    assert again.stdout
    for _ in range(chance.randint(1, 12)):
        again.stdout.readline()
    again.stdout.close()
    again.wait(PATIENCE_SECONDS)
    return "reader goes away"


def stop(make: subprocess.Popen[bytes]) -> None:
    """Kill a run, for a fault that needs it stopped."""
    with suppress(ProcessLookupError):
        os.killpg(make.pid, signal.SIGKILL)
    make.wait()


def spoil(path: Path, chance: random.Random) -> None:
    """Flip a bit of a file, or cut it."""
    content = bytearray(path.read_bytes())
    if chance.random() < 0.5:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    else:
        del content[chance.randrange(len(content)) :]
    mode = path.stat().st_mode
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(mode)


@contextmanager
def restored(path: Path) -> Iterator[None]:
    content = path.read_bytes()
    try:
        yield
    finally:
        path.write_bytes(content)


Fault = Callable[[Project, random.Random, subprocess.Popen[bytes]], str]
WEIGHTS: dict[Fault, int] = {
    kill: 60,
    fill_disk: 16,
    edit_params: 7,
    edit_code: 4,
    second_run: 4,
    damage_object: 4,
    damage_checkpoint: 3,
    lose_reader: 3,
}


def strike(project: Project, chance: random.Random, only: str = "") -> str:
    """Start a run and hit it: what was done, and in which stage. Raises Missed.

    only: a word in the names of the faults to choose from.
    """
    weights = {fault: weight for fault, weight in WEIGHTS.items() if only in fault.__name__}
    fault = chance.choices(list(weights), list(weights.values()))[0]
    make = project.start()
    _wait_for_the_moment(project, chance, make, in_stage=fault in (edit_params, edit_code))
    if make.poll() is not None:
        raise Missed
    now = project.current_stage() or "between stages"
    what = fault(project, chance, make)
    make.wait(PATIENCE_SECONDS)
    return f"{what}, {now}"


def _wait_for_the_moment(
    project: Project, chance: random.Random, make: subprocess.Popen[bytes], in_stage: bool
) -> None:
    """At any time in a stage that has not run yet, or before it, or in DVC's own start."""
    ahead = project.ahead()
    if not ahead or (not in_stage and chance.random() < 0.1):
        seconds = 2.0
    else:
        stage = chance.choices(ahead, [8, 2, *[0.5] * 7][: len(ahead)])[0]  # mostly the next one
        announced = f"Running stage '{stage}'"
        while make.poll() is None and announced not in project.output():
            time.sleep(0.05)
        if in_stage or chance.random() < 0.8:  # its process, which its runner starts
            while make.poll() is None and project.current_stage() != stage:
                time.sleep(0.05)
        seconds = project.seconds[stage] * (0.3 if in_stage else 1.2)
    end = time.monotonic() + chance.uniform(0, seconds)
    while make.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
