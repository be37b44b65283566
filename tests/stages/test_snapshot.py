"""What a stage reads: checked against dvc.lock at its start, and for changes while it runs."""

import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from alexnet.errors import UserError
from stages.params import load
from stages.runtime.engine import PARAMS_SHA256
from stages.runtime.snapshot import Inputs
from tests.conftest import ROOT
from tests.runs import flip_a_bit
from tests.stages.projects import finish, start, wait_until

MADE = {"data/big.bin": b"0123", "data/sub/a.bin": b"abc", "single": b"x"}
PIPELINE = {
    "stages": {
        "make": {"cmd": "make", "deps": ["code"], "outs": ["data", "single"]},
        "train": {
            "cmd": "python -m stages.runtime.runner train",
            "params": ["model", "train.learning_rate"],
            "deps": ["data/big.bin", "data/sub", "single", "code"],
            "outs": ["result"],
        },
    }
}


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def store(content: bytes, suffix: str = "") -> dict[str, str]:
    """Put a file into DVC's cache; returns its digest as dvc.lock has it."""
    digest = md5(content) + suffix
    copy = Path(".dvc/cache/files/md5") / digest[:2] / digest[2:]
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(content)
    return {"hash": "md5", "md5": digest}


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project after its first stage, in DVC's formats; this process is its DVC."""
    monkeypatch.chdir(tmp_path)
    for module in ("damage", "dvc_files"):  # DVC itself takes seconds to tell
        monkeypatch.setattr(f"stages.runtime.{module}.cache_folder", lambda: Path(".dvc/cache"))
    shutil.copy(ROOT / "demo/params.yaml", tmp_path)
    YAML().dump(PIPELINE, Path("dvc.yaml"))
    for name, content in (MADE | {"code/a.py": b"a = 1\n", "code/b.py": b"b = 1\n"}).items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)
    listing = [
        {"md5": md5(MADE[f"data/{name}"]), "relpath": name} for name in ("big.bin", "sub/a.bin")
    ]
    outs = [
        {"path": "data"} | store(json.dumps(listing).encode(), ".dir"),
        {"path": "single"} | store(MADE["single"]),
    ]
    for content in MADE.values():
        store(content)
    YAML().dump({"schema": "2.0", "stages": {"make": {"outs": outs}}}, Path("dvc.lock"))
    Path(".dvc/tmp").mkdir()
    lock = {"write": {str(tmp_path / "result"): {"pid": os.getpid(), "cmd": "dvc repro"}}}
    Path(".dvc/tmp/rwlock").write_text(json.dumps(lock))
    return tmp_path


def edit(name: str, old: str, new: str) -> None:
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new))


def put_back(name: str) -> None:
    content = Path(name).read_bytes()
    Path(name).write_bytes(b"another")
    Path(name).write_bytes(content)


def put_time_back(name: str) -> None:
    """A change that a file's size and modification time do not show."""
    status = os.stat(name)
    flip_a_bit(Path(name))
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (
            lambda: edit("params.yaml", "learning_rate: 0.05", "learning_rate: 0.07"),
            ["train.learning_rate: 0.05 at the start, 0.07 now"],
        ),
        (
            lambda: edit("params.yaml", "variant: cifar", "variant: other"),
            ["model.variant: 'cifar' at the start, 'other' now"],
        ),
        (lambda: edit("code/a.py", "1", "2"), ["code/a.py"]),
        (lambda: Path("code/c.py").touch(), ["code/c.py"]),
        (lambda: Path("code/b.py").unlink(), ["code/b.py"]),
        (lambda: edit("data/big.bin", "0", "9"), ["data/big.bin"]),
        (lambda: put_time_back("data/sub/a.bin"), ["data/sub/a.bin"]),
        # What the stage does not read, or reads as it was
        (lambda: edit("params.yaml", "epochs:", "# a comment\n  epochs:"), []),
        (lambda: edit("params.yaml", "min_accuracy", "other_name"), []),
        (lambda: put_back("params.yaml"), []),
        (lambda: put_back("data/big.bin"), []),
        (lambda: [Path("code", name).touch() for name in (".a.py.swp", ".#a.py")], []),
        (lambda: (Path("code/__pycache__").mkdir(), Path("code/__pycache__/a.pyc").touch()), []),
    ],
)
def test_what_is_changed_while_a_stage_runs_is_named(change, names, project):
    shutil.copy(ROOT / ".dvcignore", project)
    inputs = Inputs("train")
    inputs.check_intact()
    change()
    assert inputs.changes() == names
    if not names:
        inputs.require_unchanged()
        return
    with pytest.raises(UserError, match="; ".join(map(re.escape, names)) + ". The result bel"):
        inputs.require_unchanged()


def test_a_file_is_read_again_only_if_it_was_touched(project, monkeypatch):
    inputs = Inputs("train")
    read = []
    monkeypatch.setattr("stages.runtime.snapshot.md5_of", lambda path: read.append(path) or "same")
    os.utime("data/big.bin")
    for _ in range(2):
        inputs.changes()
    assert read == [Path("data/big.bin")]


def test_a_file_that_cannot_be_read_just_then_stops_nothing(project, monkeypatch):
    def deny(path):
        raise PermissionError(path)

    inputs = Inputs("train")
    Path(".dvcignore").write_text("!\n")  # which is no pattern
    inputs.warn_of_changes()
    Path(".dvcignore").unlink()
    os.utime("data/big.bin")
    monkeypatch.setattr("stages.runtime.snapshot.md5_of", deny)
    inputs.warn_of_changes()
    with pytest.raises(PermissionError):  # at the end it would go unnoticed
        inputs.require_unchanged()


def test_a_params_file_in_the_middle_of_an_edit_is_a_change(project):
    inputs = Inputs("train")
    content = Path("params.yaml").read_bytes()
    Path("params.yaml").write_bytes(b"train: [")
    assert "train.learning_rate: 0.05 at the start, missing now" in inputs.changes()
    Path("params.yaml").write_bytes(content)
    assert inputs.changes() == []


def copy_of(content: bytes) -> Path:
    return Path(".dvc/cache/files/md5") / md5(content)[:2] / md5(content)[2:]


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("copy", ["intact", "damaged", "missing"])
def test_a_damaged_input_is_an_error_with_its_cure(name, copy, project):
    flip_a_bit(Path(name))
    cached, out = copy_of(MADE[name]), name.split("/")[0]
    if copy == "damaged":
        flip_a_bit(cached)
    elif copy == "missing":
        cached.unlink()
    with pytest.raises(UserError) as caught:
        Inputs("train").check_intact()
    first, _, remove, again = str(caught.value).splitlines()
    assert first.startswith(f"{name} is not what make wrote (dvc.lock)")
    assert {
        "intact": "its copy in DVC's cache is intact",
        "damaged": f"its copy in DVC's cache, {cached}, is damaged as well",
        "missing": "DVC's cache has no copy of it",
    }[copy] in first
    assert remove.split() == ["rm", "-rf", name, *([str(cached)] if copy == "damaged" else [])]
    assert again.strip().startswith(f"dvc checkout {out}" if copy == "intact" else "dvc repro make")


def test_without_the_cache_a_folder_is_compared_as_a_whole(project):
    shutil.rmtree(".dvc/cache")
    Inputs("train").check_intact()
    flip_a_bit(Path("data/big.bin"))
    with pytest.raises(UserError, match=r"data is not what make wrote .* cache has no copy of it"):
        Inputs("train").check_intact()


def test_a_file_too_many_or_too_few_is_damage(project):
    Path("data/sub/b.bin").touch()
    Path("data/sub/a.bin").unlink()
    with pytest.raises(UserError) as caught:
        Inputs("train").check_intact()
    first, second, *_ = str(caught.value).splitlines()
    assert first.startswith("data/sub/a.bin is not what make wrote")
    assert second.startswith("data/sub/b.bin is no part of data")


def test_what_a_renamed_stage_wrote_is_not_compared(project):
    """DVC leaves it in dvc.lock for ever."""
    edit("dvc.lock", "  make:", "  before:")
    flip_a_bit(Path("single"))
    Inputs("train").check_intact()


def test_without_dvc_lock_nothing_is_compared(project):
    Path("dvc.lock").unlink()
    flip_a_bit(Path("single"))
    Inputs("train").check_intact()


def test_a_stage_reads_the_params_for_which_it_was_started(project, monkeypatch):
    """Also if they are edited between the runner's look at them and the stage's."""
    path = Path("params.yaml")
    monkeypatch.setenv(PARAMS_SHA256, hashlib.sha256(path.read_bytes()).hexdigest())
    assert load(path).train.learning_rate == 0.05
    edit("params.yaml", "learning_rate: 0.05", "learning_rate: 0.07")
    with pytest.raises(UserError, match=r"params.yaml was edited while the stage started; start"):
        load(path)


# Through the runner, with an engine in whose container a stage waits

ENGINE = f"""#!{sys.executable}
import json, pathlib, sys, time
with open("calls", "a") as log:
    print(json.dumps(sys.argv[1:]), file=log)
if sys.argv[1] == "image":
    print("sha256:abc []")
if sys.argv[1] == "run":
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
"""
RUNNER = """
import sys
from stages.runtime import runner, supervise
supervise.LOOK_SECONDS = 0.05
sys.argv[1:] = ["train"]
runner.main()
"""


def test_the_runner_warns_at_once_and_fails_in_the_end(project):
    Path("bin").mkdir()
    Path("bin/podman").write_text(ENGINE)
    Path("bin/podman").chmod(0o755)
    environment = {"PATH": "bin", "STAGE_RUNTIME": "podman", "DVC_STAGE": "train"}
    runner = start(project, sys.executable, "-uc", RUNNER, **environment)
    calls = Path("calls")
    wait_until(lambda: calls.exists() and '"run"' in calls.read_text(), "the start")
    digest = hashlib.sha256(Path("params.yaml").read_bytes()).hexdigest()
    edit("params.yaml", "learning_rate: 0.05", "learning_rate: 0.07")
    lines = iter(runner.stdout.readline, "")
    next(lines)  # where it runs
    change = "train.learning_rate: 0.05 at the start, 0.07 now"
    assert next(lines) == (
        f"warning: changed while train runs: {change}. Put it back, or the result will not be "
        "recorded\n"
    )
    Path("go").touch()
    code, output = finish(runner)
    assert code == 1
    assert output.startswith(f"error: while train ran, this was changed: {change}. The result")
    assert "`dvc repro` runs train with the present values; with the old ones put back, " in output
    assert f"--env={PARAMS_SHA256}={digest}" in calls.read_text()
