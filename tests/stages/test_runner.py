"""Where a stage runs, on the host or in a container, with fake engines that log their calls."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from alexnet.errors import UserError
from stages.runtime import engine as engines
from stages.runtime.engine import Engine, resolve_runtime
from stages.runtime.stage import local_sources
from tests.conftest import ROOT, write_params


def calls(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


NONE = (
    "docker does not answer: Is the service running?; "
    f"podman has no image {engines.IMAGE}; `make image` builds it"
)


@pytest.mark.parametrize(
    ("docker", "podman", "name", "reason"),
    [
        ({}, {}, "docker", f"in docker (STAGE_RUNTIME=auto), image {engines.IMAGE}"),
        ({"broken": True}, {}, "podman", f"in podman (STAGE_RUNTIME=auto), image {engines.IMAGE}"),
        ({"broken": True}, {"image": "another"}, None, f"on the host: {NONE}"),
    ],
)
def test_auto_takes_the_first_engine_that_has_the_image_else_the_host(
    install, docker, podman, name, reason
):
    install("docker", **docker)
    install("podman", **podman)
    engine, found = resolve_runtime("auto")
    assert found == reason
    assert engine == (Engine(name, engines.IMAGE, "sha256:abc") if name else None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "STAGE_RUNTIME=podman: podman is not installed"),
        ({"broken": True}, "STAGE_RUNTIME=podman: podman does not answer: Is the service running?"),
        ({"image": "x"}, f"STAGE_RUNTIME=podman: podman has no image {engines.IMAGE}; `make"),
    ],
)
def test_a_requested_engine_that_cannot_run_is_an_error(install, given, message):
    install("docker")
    if given is not None:
        install("podman", **given)
    with pytest.raises(UserError) as caught:
        resolve_runtime("podman")
    assert str(caught.value).startswith(message)


def test_an_unknown_runtime_is_an_error(install):
    with pytest.raises(UserError, match="STAGE_RUNTIME: dokcer is none of auto, host, docker"):
        resolve_runtime("dokcer")


def test_on_the_host_and_in_a_container_no_engine_is_called(install, monkeypatch):
    log = install("docker")
    assert resolve_runtime("host") == (None, "on the host (STAGE_RUNTIME=host)")
    monkeypatch.setenv("ALEXNET_IN_CONTAINER", "1")
    assert resolve_runtime("docker") == (None, "in this container")
    assert not log.exists()


def test_local_sources_are_mounted_where_params_yaml_names_them(tmp_path, monkeypatch):
    project = tmp_path / "a" / "project"
    project.mkdir(parents=True)
    (tmp_path / "a" / "images.tar").touch()
    (tmp_path / "more").mkdir()
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"ENV HOME={engines.HOME} " in (ROOT / "Dockerfile").read_text()
    given = ["../images.tar", str(tmp_path / "more"), "https://example.org/x.tar", "missing"]
    given += ["~/mine"]
    write_params(project, data__name="folder", data__source=given)
    monkeypatch.chdir(project)
    assert local_sources(project) == {
        str(tmp_path / "a" / "images.tar"): "/images.tar",
        str(tmp_path / "more"): str(tmp_path / "more"),
        str(tmp_path / "mine"): f"{engines.HOME}/mine",
    }


# As DVC calls it


def run_stage(stage: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, "-m", "stages.runtime.runner", stage]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_a_stage_in_a_container_returns_its_exit_code(install, tmp_path):
    log = install("podman", code=7)
    done = run_stage("gate", tmp_path, STAGE_RUNTIME="podman")
    assert done.returncode == 7
    assert done.stderr == f"gate: in podman (STAGE_RUNTIME=podman), image {engines.IMAGE}\n"
    version, image, info, ran, removed = calls(log)
    assert [version[0], image[0], info[0], ran[0]] == ["version", "image", "info", "run"]
    assert ran[-3:] == ["python", "-m", "stages.gate"]
    assert f"--volume={tmp_path}:/project" in ran
    name = next(option for option in ran if option.startswith("--name=")).removeprefix("--name=")
    assert removed == ["rm", "--force", name], "its client may have been killed alone"


@pytest.mark.parametrize(
    ("built_from", "warned"), [("same", False), ("other", True), (None, False)]
)
def test_an_image_of_another_lock_causes_a_warning(built_from, warned, install, tmp_path):
    (tmp_path / "train.lock").write_text("torch\n")
    digest = {
        "same": hashlib.sha256(b"torch\n").hexdigest(),
        "other": hashlib.sha256(b"numpy\n").hexdigest(),
    }
    lock = f"[PATH=/bin ALEXNET_LOCK_DIGEST={digest.get(built_from, '')} A=b]"
    install("podman", environment=lock)
    errors = run_stage("gate", tmp_path, STAGE_RUNTIME="podman").stderr
    line = "warning: the image was built from another train.lock; `make image` renews it\n"
    assert (line in errors) == warned


def test_a_container_that_does_not_start_prints_a_hint(install, tmp_path):
    install("podman", code=125)
    done = run_stage("gate", tmp_path, STAGE_RUNTIME="podman")
    assert done.returncode == 125
    assert done.stderr.endswith(
        "error: podman could not start the container (its reason is above); check that it may "
        "use the image, or run on the host with STAGE_RUNTIME=host\n"
    )


def test_a_stage_on_the_host_runs_its_module(install, tmp_path):
    done = run_stage("gate", tmp_path, STAGE_RUNTIME="host")
    first, rest = done.stderr.split("\n", 1)
    assert first == "gate: on the host (STAGE_RUNTIME=host)"
    assert done.returncode == 1
    assert "params.yaml" in rest, "the stage's own error"


def test_a_missing_engine_is_a_one_line_error(install, tmp_path):
    done = run_stage("gate", tmp_path, STAGE_RUNTIME="docker")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: STAGE_RUNTIME=docker: docker is not installed\n"


# All of the pipeline in one container


def run_container(folder: Path, *command: str, **environment: str):
    """With the standard library alone, as on a machine where nothing is installed."""
    env = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    line = [sys.executable, "-S", "-m", "stages.runtime.container", *command]
    return subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize("given", [[], ["dvc", "repro", "train"]])
def test_a_command_runs_in_one_container(given, install, tmp_path):
    install("docker", broken=True)
    log = install("podman", code=3)
    done = run_container(tmp_path, *given)
    assert done.returncode == 3
    assert done.stderr == f"in podman (STAGE_RUNTIME=auto), image {engines.IMAGE}\n"
    ran, removed = calls(log)[-2:]
    command = given or ["dvc", "repro"]
    assert ran[-len(command) - 1 :] == [engines.IMAGE, *command]
    assert f"--volume={tmp_path}:/project" in ran
    assert "--network=none" not in ran, "it may have to download"
    assert "--pid=host" in ran, "DVC's locks name processes"
    assert removed[:2] == ["rm", "--force"]


def test_without_an_engine_container_is_an_error(install, tmp_path):
    install("podman", image="another")
    done = run_container(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: docker is not installed; podman has no image {engines.IMAGE}; `make image` "
        "builds it\n"
    )
    done = run_container(tmp_path, STAGE_RUNTIME="docker")
    assert done.stderr == "error: STAGE_RUNTIME=docker: docker is not installed\n"
