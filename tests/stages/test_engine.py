"""Docker and Podman: which can run a stage, and with which command line."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from alexnet.errors import UserError
from stages.runtime import engine as engines
from stages.runtime import gpus
from stages.runtime.engine import Engine, owner
from stages.runtime.mounts import Mount
from stages.runtime.resolve import detect_engine


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


@pytest.mark.parametrize(
    ("name", "variable", "host"),
    [
        ("docker", "DOCKER_HOST", "ssh://me@server"),
        ("docker", None, "tcp://10.0.0.7:2376"),  # of `docker context use`
        ("podman", "CONTAINER_HOST", "ssh://me@server/run/podman.sock"),
    ],
)
def test_an_engine_on_another_machine_is_an_error(install, monkeypatch, name, variable, host):
    install(name, **({} if variable else {"host": host}))
    if variable:
        monkeypatch.setenv(variable, host)
    with pytest.raises(UserError, match=f"{name} starts containers on another machine, {host}, "):
        detect_engine(name)
    for here in ("unix:///tmp/a.sock", "tcp://localhost:2375"):
        install(name, host=here)
        monkeypatch.setenv(variable or "DOCKER_HOST", here)
        assert detect_engine(name).name == name


def test_podman_under_dockers_name_gets_podmans_options(install):
    install("docker", version="Client:       Podman Engine\nVersion:      5.4.2")
    install("podman", info="true")
    assert detect_engine("docker") == detect_engine("podman")


TRAIN = ["python", "-m", "stages.train"]


def command(name: str, network: bool = False, mounts: tuple[Mount, ...] = ()) -> list[str]:
    return Engine(name, "image", "sha256:abc").command(TRAIN, "a-name", network, mounts)


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_stage_has_the_least_privileges(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
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
        "--workdir=/project",
        "--env=ALEXNET_IMAGE_DIGEST=sha256:abc",
    } <= options
    mounted = [option for option in options if option.startswith("--mount")]
    assert mounted == [f"--mount=type=bind,source={tmp_path},target=/project"]
    assert "--network=none" not in command(name, network=True)
    # Podman would pass proxies, with their passwords, to a stage without a network.
    assert ("--http-proxy=false" in options) == (name == "podman")
    mount = Mount(Path("/a"), Path("/b"))
    assert "--mount=type=bind,source=/a,target=/b,readonly" in command(name, mounts=(mount,))


def test_the_user_is_the_caller_or_for_root_the_folders_owner(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "getgid", lambda: 55)
    assert owner(tmp_path) == (1234, 55)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    found = tmp_path.stat()
    assert owner(tmp_path) == (found.st_uid, found.st_gid)


@pytest.mark.parametrize(
    ("name", "info", "options"),
    [
        ("podman", "false", ["--user=1234:55"]),
        # Without it the caller would be root in the container. The caller's user id does not show
        # it: podman may talk to a service that is root.
        ("podman", "true", ["--user=1234:55", "--userns=keep-id"]),
        ("docker", "[name=seccomp,profile=default]", ["--user=1234:55"]),
        ("docker", "[name=seccomp,profile=default name=rootless name=cgroupns]", ["--user=0:0"]),
        ("docker", "[name=apparmor name=userns]", ["--user=1234:55", "--userns=host"]),
    ],
)
def test_what_is_written_belongs_to_the_caller(name, info, options, install, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "getgid", lambda: 55)
    install(name, info=info)
    found = detect_engine(name).command(TRAIN, "a-name")
    assert [option for option in found if option.startswith("--user")] == options


# GPUs


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without a GPU, to add to."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, path in {"CONTROL": "nvidiactl", "PCI": "pci"}.items():
        monkeypatch.setattr(gpus, name, tmp_path / path)
    monkeypatch.setattr(gpus, "WSL", (tmp_path / "dxg", tmp_path / "libcuda.so.1"))
    return tmp_path


GPU_OPTIONS = [("docker", "--gpus=all"), ("podman", "--device=nvidia.com/gpu=all")]


@pytest.mark.parametrize(("name", "option"), GPU_OPTIONS)
def test_gpus_are_passed_to_the_container_and_cuda_chooses(name, option, machine, monkeypatch):
    assert option not in command(name)
    (machine / "nvidiactl").touch()
    found = command(name)
    assert option in found
    assert "--env=CUDA_VISIBLE_DEVICES" not in found
    for chosen in ("1", "GPU-8932f937,MIG-b", ""):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
        found = command(name)
        assert (option in found) == bool(chosen)
        assert "--env=CUDA_VISIBLE_DEVICES" in found


def test_a_gpu_of_wsl_is_found_without_nvidias_device_file(machine):
    (machine / "dxg").touch()
    assert "--gpus=all" not in command("docker"), "it is there with GPUs of all makers"
    (machine / "libcuda.so.1").touch()
    assert "--gpus=all" in command("docker")


@pytest.mark.parametrize(
    ("vendor", "kind", "driver", "warned"),
    [
        ("0x10de", "0x030000", None, True),
        ("0x10de", "0x030200", "nvidia", True),  # without its device files
        ("0x10de", "0x030000", "nouveau", False),
        ("0x10de", "0x040300", None, False),  # the audio device of the same card
        ("0x1002", "0x030000", None, False),
    ],
)
def test_a_gpu_whose_driver_is_not_loaded_is_told(
    vendor, kind, driver, warned, machine, capsys, monkeypatch
):
    device = machine / "pci/0000:65:00.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")
    if driver:
        (device / "driver").symlink_to(f"../../drivers/{driver}")
    engines.warn_of_unloaded_gpu()
    assert ("the NVIDIA GPU 0000:65:00.0 is not used" in capsys.readouterr().err) == warned
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    engines.warn_of_unloaded_gpu()
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "code", "way_out"),
    [
        ("docker", 125, "sudo nvidia-ctk runtime configure --runtime=docker"),
        ("podman", 126, "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"),
    ],
)
def test_the_hint_names_what_gpus_need(name, code, way_out, machine, capsys):
    (machine / "nvidiactl").touch()
    engines.print_hint(Engine(name, "image", "sha256:abc"), code)
    assert way_out in capsys.readouterr().err
    engines.print_hint(Engine(name, "image", "sha256:abc"), 1)
    assert capsys.readouterr().err == "", "the stage has printed its own error"


def test_a_read_only_folder_is_an_error(tmp_path, monkeypatch):
    engines.check_writable(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda path: SimpleNamespace(f_flag=os.ST_RDONLY))
    with pytest.raises(UserError, match="is mounted read-only; mount it for writing, or work in"):
        engines.check_writable(tmp_path)
