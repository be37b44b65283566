"""Docker and Podman: which can run a stage, and with which command line."""

import os
import sys
from types import SimpleNamespace

import pytest

from alexnet.errors import UserError
from stages.runtime import engine as engines
from stages.runtime.engine import Engine, detect_engine, owner
from tests.conftest import ROOT


def test_an_engine_that_does_not_answer_times_out(install, tmp_path, monkeypatch):
    install("docker")
    (tmp_path / "bin/docker").write_text(f"#!{sys.executable}\nimport time\ntime.sleep(60)\n")
    monkeypatch.setattr(engines, "TIMEOUT_SECONDS", 0.3)
    with pytest.raises(UserError, match=r"docker did not answer within 0\.3 s"):
        detect_engine("docker")


def test_the_environment_can_name_another_image(install, monkeypatch):
    install("podman", image="registry/alexnet:2")
    monkeypatch.setenv("ALEXNET_IMAGE", "registry/alexnet:2")
    assert detect_engine("podman") == Engine("podman", "registry/alexnet:2", "sha256:abc")


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
