"""Where a stage runs, on the host or in a container, with fake engines that log their calls."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alexnet.errors import UserError
from stages import paths
from stages.runtime import mounts, resolve
from stages.runtime.engine import Engine
from stages.runtime.mounts import Mount
from stages.runtime.resolve import CPU_LOCK, IMAGE, LOCK, resolve_runtime
from stages.runtime.stage import local_sources
from tests.conftest import ROOT, write_params


def calls(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture(autouse=True)
def _in_a_folder_without_a_lock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


WRONG = "docker does not answer"
BROKEN = f"{WRONG}: Is the service running?"
ABSENT = f"podman has no image {IMAGE}; `make image` builds it"
NONE = f"on the host ({BROKEN}; {ABSENT})"
FOUND = f"in podman, image {IMAGE}, sha256:abc"


@pytest.mark.parametrize(
    ("docker", "podman", "line", "explained"),
    [
        ({}, {}, "in docker", f"in docker, image {IMAGE}, sha256:abc"),
        (None, {}, "in podman", f"{FOUND} (docker is not installed)"),
        # Something is wrong: that comes unasked, the whole reason does not.
        ({"broken": True}, {}, f"in podman ({WRONG})", f"{FOUND} ({BROKEN})"),
        ({"broken": True}, {"image": "x"}, f"on the host ({WRONG})", NONE),
        (
            *(None, {"image": "x"}, "on the host (no engine has the image)"),
            f"on the host (docker is not installed; {ABSENT})",
        ),
    ],
)
def test_auto_takes_the_first_engine_that_has_the_image_else_the_host(
    install, docker, podman, line, explained
):
    for name, given in {"docker": docker, "podman": podman}.items():
        if given is not None:
            install(name, **given)
    for wanted, expected in {"": line, "auto": line, "auto -v": explained}.items():
        engine, found = resolve_runtime(wanted)
        assert found == expected
        name = next((name for name in resolve.ENGINES if f"in {name}" in line), None)
        assert engine == (Engine(name, IMAGE, "sha256:abc") if name else None)


def built_from(content: bytes | None) -> dict[str, str]:
    digest = hashlib.sha256(content).hexdigest() if content is not None else ""
    return {"environment": f"[PATH=/bin ALEXNET_LOCK_DIGEST={digest} A=b]"}


def test_auto_takes_no_image_of_another_lock_and_a_named_engine_warns(install):
    assert LOCK == paths.LOCK
    install("docker", **built_from(b"numpy\n"))
    install("podman", **built_from(b"torch\n"))
    assert resolve_runtime("auto")[1] == "in docker", "a project without a lock takes any image"
    LOCK.write_bytes(b"torch\n")
    other = f"docker's image {IMAGE} was built from another {LOCK}; `make image` renews it"
    advice = "STAGE_RUNTIME=docker takes it as it is"
    assert resolve_runtime("auto")[1] == f"in podman ({other}, {advice})"
    assert resolve_runtime("docker")[1] == f"in docker\nwarning: {other}"
    assert resolve_runtime("podman")[1] == "in podman"
    # One that was built by hand says nothing of a lock.
    for name in resolve.ENGINES:
        install(name, **built_from(None))
    engine, line = resolve_runtime("auto")
    assert engine is None
    unknown = f"podman's image {IMAGE} does not name its {LOCK}; `make image` renews it"
    assert line.startswith("on the host (docker's image")
    assert line.endswith(f"{unknown}, STAGE_RUNTIME=podman takes it as it is)")
    with pytest.raises(UserError, match=f"podman's image {IMAGE} does not name its {LOCK}"):
        resolve_runtime("auto", host_allowed=False)


def test_auto_takes_an_image_of_the_lock_for_cpus_until_the_other_changes(install):
    LOCK.write_bytes(b"torch\n")
    (line,) = [x for x in (ROOT / "Makefile").read_text().splitlines() if "sed -i" in x]
    CPU_LOCK.write_bytes(b"torch+cpu\n")
    subprocess.run(
        ["sh", "-c", line.strip().replace("$$", "$")], env={"PATH": "/usr/bin:/bin"}, check=True
    )
    install("docker", **built_from(CPU_LOCK.read_bytes()))
    assert resolve_runtime("auto")[1] == "in docker"
    LOCK.write_bytes(b"a newer torch\n")
    assert "was built from another train.lock" in resolve_runtime("auto")[1]


def test_an_image_that_is_named_and_missing_is_an_error(install, monkeypatch):
    install("podman")
    monkeypatch.setenv("ALEXNET_IMAGE", "registry/alexnet:2")
    message = (
        "podman has no image registry/alexnet:2; .* Without ALEXNET_IMAGE, it runs on the host"
    )
    with pytest.raises(UserError, match=message):
        resolve_runtime("auto")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "STAGE_RUNTIME=podman: podman is not installed"),
        ({"broken": True}, "STAGE_RUNTIME=podman: podman does not answer: Is the service running?"),
        ({"image": "x"}, f"STAGE_RUNTIME=podman: podman has no image {IMAGE}; `make"),
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
    for wanted in ("dokcer", "auto -x"):
        with pytest.raises(UserError, match=f"STAGE_RUNTIME: {wanted} is none of auto, host, dock"):
            resolve_runtime(wanted)


def test_on_the_host_and_in_a_container_no_engine_is_called(install, monkeypatch):
    log = install("docker")
    assert resolve_runtime("host") == (None, "on the host")
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
    assert f"ENV HOME={mounts.HOME} " in (ROOT / "Dockerfile").read_text()
    given = ["../images.tar", str(tmp_path / "more"), "https://example.org/x.tar", "missing"]
    given += ["~/mine"]
    write_params(project, data__name="folder", data__source=given)
    monkeypatch.chdir(project)
    assert local_sources() == [
        Mount(tmp_path / "a" / "images.tar", Path("/images.tar")),
        Mount(tmp_path / "more", tmp_path / "more"),
        Mount(tmp_path / "mine", mounts.HOME / "mine"),
    ]


# As DVC calls it


def run_stage(stage: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    command = [sys.executable, "-m", "stages.runtime.runner", stage]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def test_a_stage_in_a_container_returns_its_exit_code(install, tmp_path):
    log = install("podman", code=7)
    done = run_stage("gate", tmp_path, STAGE_RUNTIME="podman")
    assert done.returncode == 7
    assert done.stderr == "gate: in podman\n"
    version, image, info, ran, removed = calls(log)
    assert [version[0], image[0], info[0], ran[0]] == ["version", "image", "info", "run"]
    assert ran[-3:] == ["python", "-m", "stages.gate"]
    assert f"--mount=type=bind,source={tmp_path},target=/project" in ran
    name = next(option for option in ran if option.startswith("--name=")).removeprefix("--name=")
    assert removed == ["rm", "--force", name], "its client may have been killed alone"


def test_a_container_that_does_not_start_prints_a_hint(install, tmp_path):
    install("podman", code=125)
    done = run_stage("gate", tmp_path, STAGE_RUNTIME="podman")
    assert done.returncode == 125
    assert done.stderr.endswith(
        "error: podman could not start the container, or the command in it (its reason is above); "
        "check that it may use the image and this folder, or run on the host with "
        "STAGE_RUNTIME=host\n"
    )


def test_a_stage_on_the_host_runs_its_module(install, tmp_path):
    done = run_stage("gate", tmp_path, STAGE_RUNTIME="host")
    first, rest = done.stderr.split("\n", 1)
    assert first == "gate: on the host"
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
    assert done.stderr == f"in podman ({WRONG})\n"
    ran, removed = calls(log)[-2:]
    command = given or ["sh", "-c", "dvc repro && python -m stages.gate --check"]
    assert ran[-len(command) - 1 :] == [IMAGE, *command]
    assert f"--mount=type=bind,source={tmp_path},target=/project" in ran
    assert "--network=none" not in ran, "it may have to download"
    assert "--pid=host" in ran, "DVC's locks name processes"
    assert removed[:2] == ["rm", "--force"]


def test_a_source_on_this_machine_is_mounted_in_the_one_container(install, tmp_path):
    log = install("podman")
    images = tmp_path / ("images" + 60 * "_")  # so long that YAML begins a line with it
    images.mkdir()
    for source in (str(images), [str(images)]):
        write_params(tmp_path, data__name="folder", data__source=source)
        assert run_container(tmp_path).returncode == 0
        assert f"--mount=type=bind,source={images},target={images},readonly" in calls(log)[-1]
    write_params(tmp_path, data__name="folder", data__source="")
    done = run_container(tmp_path)
    assert done.returncode == 1
    assert "error: params.yaml: data" in done.stderr, "before anything runs"
    shutil.copy(ROOT / "params.yaml", tmp_path)
    number = len(calls(log))
    assert run_container(tmp_path).returncode == 0
    assert len(calls(log)) == number + 4, "it has no source, so the image is not asked"


def test_without_an_engine_container_is_an_error(install, tmp_path):
    install("podman", image="another")
    done = run_container(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: docker is not installed; podman has no image {IMAGE}; `make image` builds it\n"
    )
    done = run_container(tmp_path, STAGE_RUNTIME="docker")
    assert done.stderr == "error: STAGE_RUNTIME=docker: docker is not installed\n"
