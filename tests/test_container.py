"""The training image, and the whole pipeline in it: `pytest -m container -n 0`.

The tests need root, to be somebody else: a user id that neither the machine nor the image knows.
The caller of `dvc repro` then owns nothing but the project, and may use the engine.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, STAGES, write_params
from tests.engines import (
    ENGINE,
    IMAGES,
    LOCKED,
    SERVE_IMAGE,
    TRAIN_IMAGE,
    docker_socket,
    engine,
    inspect_image,
    needs,
)
from tests.stages import projects
from tests.stages.attempts import RESUMING
from tests.stages.projects import copy_code, finish, wait_until

STRANGER = 12345
SHORT = {"data__val_fraction": 0.4, "data__test_fraction": 0.4, "train__batch_size": 120}
SHORT |= {"train__precision": "fp32", "gate__min_accuracy": 0}
RESULTS = ("models/weights.safetensors", "reports/train/history.csv")

pytestmark = [
    *needs(*IMAGES),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Path]:
    """The digits' project, owned by the stranger, who may use the engine as a service."""
    folder = tmp_path_factory.mktemp("stranger")
    project = folder / "project"
    copy_code(project)
    write_params(project, **SHORT, train__epochs=1)
    (folder / "home").mkdir()
    service = None
    if ENGINE == "podman":
        socket = folder / "podman.sock"
        service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{socket}"])
        (folder / "podman").write_text(f'#!/bin/sh\nexec {shutil.which("podman")} --remote "$@"\n')
        (folder / "podman").chmod(0o755)
        wait_until(socket.exists, "the start of podman's service")
    own(folder)
    yield project
    if service:
        service.terminate()
        service.wait()


def as_stranger() -> list[str]:
    """The command before a command of the stranger.

    May read files of root, as this Python may be one, but write none of them; as a user of Docker
    is in its group.
    """
    groups = f"--groups={docker_socket().stat().st_gid}" if ENGINE == "docker" else "--clear-groups"
    may_read = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    return ["setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", groups, *may_read]


def start(project: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command as the stranger."""
    own = {
        "CONTAINER_HOST": f"unix://{project.parent}/podman.sock",
        "PATH": f"{project.parent}:{projects.ENVIRONMENT['PATH']}",
        "HOME": str(project.parent / "home"),
        "USER": "stranger",
    }
    return projects.start(project, *as_stranger(), *command, **own | environment)


def repro(project: Path, runtime: str, *targets: str) -> str:
    code, output = finish(start(project, "dvc", "repro", *targets, STAGE_RUNTIME=runtime))
    assert code == 0, output
    return output


def serve(*command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    options = ["--rm", *LOCKED, *([f"--volume={folder}:/project:ro"] if folder else [])]
    return subprocess.run(
        [ENGINE, "run", *options, SERVE_IMAGE, *command], capture_output=True, text=True
    )


def test_every_stage_runs_in_the_container_and_then_none_on_the_host(project):
    output = repro(project, ENGINE)
    for stage in STAGES:
        assert f"{stage}: in {ENGINE}" in output
    owners = {path.lstat().st_uid for path in project.rglob("*")}
    assert owners == {STRANGER}
    output = repro(project, "host")
    assert "Running stage" not in output
    assert "Data and pipelines are up to date." in output

    artifacts = project / "artifacts"
    origin = json.loads((artifacts / "manifest.json").read_text())["provenance"]
    image = inspect_image(TRAIN_IMAGE)
    assert origin["container_image"] == image["Id"]
    assert f"ALEXNET_LOCK_DIGEST={origin['sha256']['requirements']}" in image["Config"]["Env"]

    verified = serve("alexnet", "verify", ".", folder=artifacts)
    assert verified.returncode == 0, verified.stderr
    assert ". is verified: " in verified.stdout
    predicted = serve("alexnet", "predict", ".", "samples/00.png", "--json", folder=artifacts)
    assert predicted.returncode == 0, predicted.stderr
    (row,) = json.loads(predicted.stdout)
    expected = json.loads((artifacts / "samples/expected.json").read_text())[0]
    assert row["predictions"][0]["label"] == expected["label"]


# Stopped


@pytest.fixture(scope="module")
def prepared(project) -> Path:
    """The project with more to train, so that it can be stopped in the middle."""
    folder = project.parent / "prepared"
    shutil.copytree(project, folder)
    write_params(folder, **SHORT, train__epochs=3, train__checkpoint_seconds=0.001)
    shutil.rmtree(folder / ".checkpoints", ignore_errors=True)
    own(folder)
    return folder


def own(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, STRANGER, STRANGER, follow_symlinks=False)


def copy(prepared: Path, name: str) -> Path:
    shutil.copytree(prepared, prepared.parent / name)
    own(prepared.parent / name)
    return prepared.parent / name


@pytest.fixture(scope="module")
def expected(prepared) -> list[bytes]:
    """The results of an undisturbed training."""
    folder = copy(prepared, "undisturbed")
    repro(folder, ENGINE, "train")
    return results(folder)


def results(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in RESULTS]


def containers(folder: Path) -> list[str]:
    """The containers, running or not, that see the folder."""
    names = engine("ps", "--all", "--format={{.Names}}", "--filter=name=alexnet-").split()
    source = "--format={{range .Mounts}}{{.Source}} {{end}}"
    return [name for name in names if str(folder) in engine("inspect", source, name).split()]


def trainers(folder: Path) -> list[str]:
    """The processes that train on the folder, in any container."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = process.joinpath("cmdline").read_text().split("\0")
            if "stages.train" in command and process.joinpath("root/project").samefile(folder):
                found.append(process.name)
        except OSError:  # it is over
            continue
    return found


@pytest.mark.parametrize(
    "command",
    [
        ["dvc", "repro", "train"],
        [sys.executable, "-m", "stages.runtime.container", "dvc", "repro", "train"],
    ],
    ids=["the stage's", "that of all"],
)
def test_a_container_that_is_stopped_writes_a_checkpoint(command, prepared, expected):
    project = copy(prepared, f"stopped-{len(command)}")
    process = start(project, *command, STAGE_RUNTIME=ENGINE)
    wait_until(
        lambda: process.poll() or list(project.glob(".checkpoints/*/step-*.sha256")), "a checkpoint"
    )
    assert process.poll() is None, process.communicate()[0]
    (name,) = containers(project)
    assert trainers(project)
    engine("stop", name)
    code, output = finish(process)
    assert code != 0
    assert "stopped by SIGTERM" in output, "the trainer got the signal and wrote a checkpoint"
    assert not containers(project)
    assert not trainers(project)
    assert not (project / RESULTS[0]).exists()

    code, output = finish(start(project, *command, STAGE_RUNTIME=ENGINE))
    assert code == 0, output
    assert RESUMING in output
    assert results(project) == expected


def test_the_whole_pipeline_in_one_container(project):
    """As `make repro-container` runs it; then every stage is up to date on the host, too."""
    folder = copy(project, "whole")
    shutil.rmtree(folder / ".dvc/cache")
    for name in ("dvc.lock", "data", "models", "reports", "artifacts", ".checkpoints"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    code, output = finish(start(folder, "make", "-f", str(ROOT / "Makefile"), "repro-container"))
    assert code == 0, output
    for stage in STAGES:
        assert f"{stage}: in this container" in output
    assert {path.lstat().st_uid for path in folder.rglob("*")} == {STRANGER}
    assert "Data and pipelines are up to date." in repro(folder, "host")
    assert results(folder) == results(project)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("gate", "Read-only file system: 'reports/"),
        ("runtime.container", "/project is mounted read-only; mount it for writing"),
    ],
)
def test_a_read_only_project_is_an_error(module, message, project):
    """For a stage, and for the command that runs all of them in one container."""
    volume = f"--volume={project}:/project:ro"
    done = subprocess.run(
        [ENGINE, "run", "--rm", volume, TRAIN_IMAGE, "python", "-m", f"stages.{module}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert line.endswith("or work in a copy of it")


def test_a_missing_gpu_is_an_error(project):
    folder = copy(project, "gpu")
    write_params(folder, **SHORT, train__epochs=1, train__device="cuda")
    own(folder)
    code, output = finish(start(folder, "dvc", "repro", "train", STAGE_RUNTIME=ENGINE))
    assert code != 0
    assert "error: device: cuda is asked for, but PyTorch finds no CUDA GPU here" in output
