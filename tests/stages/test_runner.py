"""The runtime of a stage and its command line, with fake engines that log their calls."""

import hashlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from alexnet.errors import UserError
from stages.runtime import engine as engines
from stages.runtime.engine import Engine, detect_engine, owner, resolve_runtime
from stages.runtime.runner import local_sources
from tests.conftest import ROOT, write_params

FAKE = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    print(json.dumps(sys.argv[1:]), file=log)
if sys.argv[1] == "version" and {broken!r}:
    sys.exit("Cannot connect\\nIs the service running?")
if sys.argv[1:3] == ["image", "inspect"]:
    if {image!r} != sys.argv[-1]:
        sys.exit("no such image")
    print("sha256:abc", {environment!r})
if sys.argv[1] == "info":
    print({rootless!r})
sys.exit({code} if sys.argv[1] == "run" else 0)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a fake engine on a machine that has no other."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("ALEXNET_IMAGE", "ALEXNET_IN_CONTAINER", "STAGE_RUNTIME", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)

    def install(
        name: str,
        image: str = engines.IMAGE,
        broken: bool = False,
        code: int = 0,
        rootless: str = "false",
        environment: str = "[PATH=/bin]",
    ) -> Path:
        log = tmp_path / f"{name}.log"
        values = {"python": sys.executable, "log": str(log), "broken": broken}
        values |= {"rootless": rootless, "environment": environment}
        (folder / name).write_text(FAKE.format(**values, image=image, code=code))
        (folder / name).chmod(stat.S_IRWXU)
        return log

    return install


def calls(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


# Runtime


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


def test_an_engine_that_does_not_answer_times_out(install, tmp_path, monkeypatch):
    install("docker")
    (tmp_path / "bin/docker").write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    monkeypatch.setattr(engines, "TIMEOUT_SECONDS", 0.3)
    with pytest.raises(UserError, match=r"docker did not answer within 0\.3 s"):
        detect_engine("docker")


def test_an_unknown_runtime_is_an_error(install):
    with pytest.raises(UserError, match="STAGE_RUNTIME: dokcer is none of auto, host, docker"):
        resolve_runtime("dokcer")


def test_on_the_host_and_in_a_container_no_engine_is_called(install, monkeypatch):
    log = install("docker")
    assert resolve_runtime("host") == (None, "on the host (STAGE_RUNTIME=host)")
    monkeypatch.setenv("ALEXNET_IN_CONTAINER", "1")
    assert resolve_runtime("docker") == (None, "in this container")
    assert not log.exists()


def test_the_environment_can_name_another_image(install, monkeypatch):
    install("podman", image="registry/alexnet:2")
    monkeypatch.setenv("ALEXNET_IMAGE", "registry/alexnet:2")
    assert detect_engine("podman") == Engine("podman", "registry/alexnet:2", "sha256:abc")


# Command line

TRAIN = ["python", "-m", "stages.train"]


def command(name: str, network: bool = False, mounts: dict[str, str] | None = None) -> list[str]:
    engine = Engine(name, "image", "sha256:abc")
    return engine.command(TRAIN, ROOT, mounts or {}, "a-name", network)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_stage_has_the_least_privileges(name):
    found = command(name)
    assert found[:2] == [name, "run"]
    assert found[-4:] == ["image", "python", "-m", "stages.train"]
    options = set(found[2:-4])
    assert {
        "--rm",
        "--read-only",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--network=none",
        f"--volume={ROOT}:/project",
        "--workdir=/project",
        "--env=ALEXNET_IMAGE_DIGEST=sha256:abc",
    } <= options
    assert "--network=none" not in command(name, network=True)
    assert "--volume=/a:/b:ro" in command(name, mounts={"/a": "/b"})


def test_the_user_is_the_caller_or_for_root_the_folders_owner(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "getgid", lambda: 55)
    assert owner(tmp_path) == (1234, 55)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    found = tmp_path.stat()
    assert owner(tmp_path) == (found.st_uid, found.st_gid)


@pytest.mark.parametrize("rootless", [True, False])
def test_rootless_podman_keeps_the_user_id(rootless):
    engine = Engine("podman", "image", "sha256:abc", rootless)
    options = engine.command(TRAIN, ROOT, {}, "a-name", False)
    assert ("--userns=keep-id" in options) == rootless
    assert "--userns=keep-id" not in command("docker")


@pytest.mark.parametrize("rootless", ["true", "false"])
def test_podman_reports_whether_it_is_rootless(install, rootless):
    """The caller's user id does not show it: podman may talk to a service that is root."""
    install("podman", rootless=rootless)
    assert detect_engine("podman").rootless == (rootless == "true")


@pytest.mark.parametrize(
    ("name", "option"), [("docker", "--gpus=all"), ("podman", "--device=nvidia.com/gpu=all")]
)
def test_gpus_are_passed_to_the_container(name, option, monkeypatch):
    for there in (True, False):
        monkeypatch.setattr(engines, "has_gpus", lambda there=there: there)
        assert (option in command(name)) == there


def test_local_sources_are_mounted_where_params_yaml_names_them(tmp_path, monkeypatch):
    project = tmp_path / "a" / "project"
    project.mkdir(parents=True)
    (tmp_path / "a" / "images.tar").touch()
    (tmp_path / "more").mkdir()
    given = ["../images.tar", str(tmp_path / "more"), "https://example.org/x.tar", "missing"]
    write_params(project, data__name="folder", data__source=given)
    monkeypatch.chdir(project)
    assert local_sources(project) == {
        str(tmp_path / "a" / "images.tar"): "/images.tar",
        str(tmp_path / "more"): str(tmp_path / "more"),
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
    (tmp_path / "requirements.lock").write_text("torch\n")
    digest = {
        "same": hashlib.sha256(b"torch\n").hexdigest(),
        "other": hashlib.sha256(b"numpy\n").hexdigest(),
    }
    lock = f"[PATH=/bin ALEXNET_LOCK_DIGEST={digest.get(built_from, '')} A=b]"
    install("podman", environment=lock)
    errors = run_stage("gate", tmp_path, STAGE_RUNTIME="podman").stderr
    line = "warning: the image was built from another requirements.lock; `make image` renews it\n"
    assert (line in errors) == warned


def test_a_container_that_does_not_start_prints_a_hint(install, tmp_path):
    install("podman", code=125)
    done = run_stage("gate", tmp_path, STAGE_RUNTIME="podman")
    assert done.returncode == 125
    assert done.stderr.endswith(
        "error: podman could not start the container (its reason is above); check that it may "
        "use the image, or run on the host with STAGE_RUNTIME=host\n"
    )


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("docker", "that the NVIDIA Container Toolkit is installed, or run on the host"),
        ("podman", "Toolkit is installed and `nvidia-ctk cdi generate` was run, or run on"),
    ],
)
def test_the_hint_names_what_gpus_need(name, way_out, monkeypatch, capsys):
    monkeypatch.setattr(engines, "has_gpus", lambda: True)
    engines.print_hint(Engine(name, "image", "sha256:abc"), 125)
    assert way_out in capsys.readouterr().err
    engines.print_hint(Engine(name, "image", "sha256:abc"), 1)
    assert capsys.readouterr().err == "", "the stage has printed its own error"


def test_a_read_only_folder_is_an_error(tmp_path, monkeypatch):
    engines.check_writable(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(UserError, match="is mounted read-only; mount it for writing, or work in"):
        engines.check_writable(tmp_path)


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
