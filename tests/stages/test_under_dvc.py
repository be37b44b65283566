"""The runner under a real DVC, with an engine in whose containers small stages run."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from stages.runtime.dvc_files import md5_of
from tests.conftest import ROOT, write_params
from tests.runs import flip_a_bit
from tests.stages.projects import ENVIRONMENT, call, executed, finish, start, wait_until

pytestmark = pytest.mark.slow

PIPELINE = {
    "stages": {
        "download": {
            "cmd": "python -m stages.runtime.runner download",
            "params": ["data.name"],
            "deps": ["code"],
            "outs": ["data", "single"],
        },
        "train": {
            "cmd": "python -m stages.runtime.runner train",
            "params": ["model", "train.learning_rate"],
            "deps": ["data/sub", "single", "code"],
            "outs": ["weights"],
        },
    }
}
# What `podman` does here; train waits for the file `go`.
ENGINE = f"""#!{sys.executable}
import pathlib, sys, time
with open("calls", "a") as log:
    print(*sys.argv[1:], file=log)
if sys.argv[1] == "image":
    print("sha256:abc []")
while sys.argv[1] == "info" and pathlib.Path("slow").exists():
    time.sleep(0.01)
if sys.argv[1] == "run" and sys.argv[-1] == "stages.download":
    pathlib.Path("data/sub").mkdir(parents=True)
    for name in ("data/a", "data/sub/b", "single"):
        pathlib.Path(name).write_text(name)
if sys.argv[1] == "run" and sys.argv[-1] == "stages.train":
    pathlib.Path("started").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    pathlib.Path("weights").write_text("weights")
"""


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A project of two small stages, not run yet."""
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path)
    YAML().dump(PIPELINE, tmp_path / "dvc.yaml")
    (tmp_path / ".dvcignore").write_bytes((ROOT / ".dvcignore").read_bytes())
    for name in ("code/__pycache__", "bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("code/a.py", "code/ä ö.py", "code/__pycache__/a.pyc"):
        (tmp_path / name).write_text(name)
    (tmp_path / "bin/podman").write_text(ENGINE)
    (tmp_path / "bin/podman").chmod(0o755)
    monkeypatch.setenv("STAGE_RUNTIME", "podman")
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{tmp_path}/bin:{ENVIRONMENT['PATH']}")
    call(tmp_path, "dvc", "init", "--quiet", "--no-scm")
    return tmp_path


@pytest.fixture
def finished(project) -> Path:
    """The same, up to date."""
    (project / "go").touch()
    call(project, "dvc", "repro")
    return project


def edit(project: Path, old: str, new: str) -> None:
    path = project / "params.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def recorded(project: Path) -> dict:
    return YAML(typ="safe").load(project / "dvc.lock")["stages"]


def test_digests_are_those_of_dvc(finished):
    stages = recorded(finished).values()
    entries = [entry for stage in stages for entry in (*stage["deps"], *stage["outs"])]
    assert {entry["path"] for entry in entries} == {
        *("code", "data", "data/sub", "single", "weights")
    }
    for entry in entries:
        assert md5_of(Path(entry["path"])) == entry["md5"], entry["path"]


def test_a_parameter_that_is_edited_meanwhile_is_not_recorded_for_the_result(project):
    repro = start(project, "dvc", "repro")
    wait_until((project / "started").exists, "the start")
    edit(project, "learning_rate: 0.05", "learning_rate: 0.07")
    (project / "go").touch()
    code, output = finish(repro)
    assert code != 0
    assert "changed: train.learning_rate: 0.05 at the start, 0.07 now. The result" in output
    assert set(recorded(project)) == {"download"}
    again = call(project, "dvc", "repro")
    assert executed(again.stdout) == ["train"]
    values = recorded(project)["train"]["params"]["params.yaml"]
    assert values["train.learning_rate"] == 0.07


def follow_advice(folder: Path, message: str) -> None:
    """Run the commands in an error's message."""
    commands = [line for line in message.splitlines() if line.startswith(("  rm ", "  dvc "))]
    assert len(commands) == 2
    call(folder, "bash", "-ec", "\n".join(commands))


@pytest.mark.parametrize(("name", "copy"), [("data/sub/b", "damaged"), ("single", "intact")])
def test_the_commands_for_a_damaged_input_mend_it(name, copy, finished):
    """It has its former size and times, so that DVC does not notice."""
    path = finished / name
    cached = finished / ".dvc/cache/files/md5" / md5_of(path)[:2] / md5_of(path)[2:]
    for file in (path, cached)[: 1 + (copy == "damaged")]:
        status, mode = file.stat(), file.stat().st_mode
        file.chmod(0o644)
        flip_a_bit(file)
        file.chmod(mode)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "up to date" in call(finished, "dvc", "repro").stdout
    train = ("dvc", "repro", "--force", "--single-item", "train")
    failed = call(finished, *train, check=False)
    assert failed.returncode != 0
    assert f"error: {name} is not what download wrote (dvc.lock)" in failed.stderr
    before = recorded(finished)
    follow_advice(finished, failed.stderr)
    assert path.read_text() == cached.read_text() == name
    call(finished, *train)
    assert recorded(finished) == before


def test_a_copy_that_alone_is_damaged_is_mended_from_the_workspace(finished):
    copy = finished / ".dvc/cache/files/md5" / md5_of(Path("single"))[:2]
    (copy,) = copy.iterdir()
    copy.chmod(0o644)
    flip_a_bit(copy)
    copy.chmod(0o444)
    assert "up to date" in call(finished, "dvc", "repro").stdout
    failed = call(finished, sys.executable, "-m", "ci.verify", check=False)
    assert failed.returncode == 1
    follow_advice(finished, failed.stderr)
    call(finished, sys.executable, "-m", "ci.verify")
    assert "up to date" in call(finished, "dvc", "repro").stdout


def test_a_stage_does_not_start_if_dvc_is_killed_while_an_engine_is_asked(project):
    (project / "slow").touch()
    repro = start(project, "dvc", "repro")
    calls = project / "calls"
    wait_until(lambda: calls.exists() and "info" in calls.read_text(), "the question")
    repro.send_signal(signal.SIGKILL)
    repro.wait()
    (project / "slow").unlink()
    _, output = finish(repro)  # once the runner has ended, too
    assert "error: the DVC that started this stage has ended" in output
    assert "run " not in calls.read_text()
    (project / "go").touch()
    assert executed(call(project, "dvc", "repro").stdout) == ["download", "train"]


def test_an_experiment_in_a_folder_of_its_own_runs(project):
    """Its lock is in that folder, and DVC_ROOT names this one."""
    (project / ".gitignore").write_text("calls\n")
    (project / "go").touch()
    for command in (
        ("rm", "-r", ".dvc"),
        ("git", "init", "--quiet"),
        ("dvc", "init", "--quiet"),
        ("git", "add", "--force", "."),
        ("git", "commit", "--quiet", "--message=a"),
    ):
        call(project, *command)
    with_rate = ("dvc", "exp", "run", "-S")
    done = call(project, *with_rate, "train.learning_rate=0.01", "--temp", "train")
    assert "Ran experiment" in done.stdout
    call(project, *with_rate, "train.learning_rate=0.02", "--queue", "train")
    call(project, "dvc", "exp", "run", "--run-all")
    assert "Success" in call(project, "dvc", "queue", "status").stdout
    rates = json.dumps(json.loads(call(project, "dvc", "exp", "show", "--json").stdout))
    assert '"learning_rate": 0.01' in rates
    assert '"learning_rate": 0.02' in rates
