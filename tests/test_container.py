"""The images, as `make image` builds them: run them with `pytest -m container -n 0`.

As root the tests serve Podman to a user whom neither the machine nor the image knows, so
that the caller of `dvc repro` is one who owns nothing but the project.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT, write_params

STRANGER = 12345
# May look where root alone may, since this Python can lie there, and write nowhere else.
AS_STRANGER = [
    *("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]
IMAGES = ("localhost/alexnet:latest", "localhost/alexnet-serve:latest")
SHORT = {"data__val_fraction": 0.4, "data__test_fraction": 0.4, "train__batch_size": 120}
SHORT |= {"train__precision": "fp32", "gate__min_accuracy": 0}
RESULTS = ("models/weights.safetensors", "reports/train/history.csv")
PATIENCE = 1800.0
STAGES = ["download", "preprocess", "train", "profile", "evaluate", "gate", "plot", "export"]


def missing() -> str:
    if os.getuid() != 0:
        return "needs root, to be another user"
    if shutil.which("podman") is None:
        return "podman is not installed"
    for image in IMAGES:
        if subprocess.run(["podman", "image", "exists", image], capture_output=True).returncode:
            return f"podman has no image {image}; `make image` builds it"
    return ""


pytestmark = [
    pytest.mark.container,
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=missing() or "none"),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Iterator[Path]:
    """The digits' project, which belongs to the stranger, beside a Podman that listens to it."""
    folder = tmp_path_factory.mktemp("stranger")
    socket = folder / "podman.sock"
    service = subprocess.Popen(["podman", "system", "service", "--time=0", f"unix://{socket}"])
    (folder / "podman").write_text(f'#!/bin/sh\nexec {shutil.which("podman")} --remote "$@"\n')
    (folder / "podman").chmod(0o755)
    project = folder / "project"
    for name in ("alexnet", "stages"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "dvc.yaml", project)
    (project / ".dvc").mkdir()
    (project / ".dvc/config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    write_params(project, **SHORT, train__epochs=1)
    (folder / "home").mkdir()
    end = time.monotonic() + 30
    while not socket.exists():
        assert time.monotonic() < end, "podman does not listen"
        time.sleep(0.1)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, STRANGER, STRANGER)
    yield project
    service.terminate()
    service.wait()


def start(project: Path, *command: str, **environment: str) -> subprocess.Popen[str]:
    """Start a command as the stranger, to whom our Podman is a service."""
    scripts = str(Path(sys.executable).parent)
    environment = {
        "CONTAINER_HOST": f"unix://{project.parent}/podman.sock",
        "PATH": f"{project.parent}:{scripts}:{os.environ['PATH']}",
        "HOME": str(project.parent / "home"),
        "USER": "stranger",
        "PYTHONWARNINGS": "default",
    } | environment
    return subprocess.Popen(
        [*AS_STRANGER, *command],
        cwd=project,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def repro(project: Path, runtime: str, *targets: str) -> str:
    code, said = finish(start(project, "dvc", "repro", *targets, STAGE_RUNTIME=runtime))
    assert code == 0, said
    return said


def podman(*arguments: str) -> str:
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def serve(*command: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    options = ["--rm", "--network=none", "--read-only", "--user=54321:54321", "--cap-drop=all"]
    if folder:
        options.append(f"--volume={folder}:/project:ro")
    return subprocess.run(
        ["podman", "run", *options, IMAGES[1], *command], capture_output=True, text=True
    )


def test_every_stage_in_the_container_and_then_nothing_on_the_host(project):
    said = repro(project, "podman")
    for stage in STAGES:
        assert f"{stage}: in podman (STAGE_RUNTIME=podman), image {IMAGES[0]}" in said
    owners = {path.lstat().st_uid for path in project.rglob("*")}
    assert owners == {STRANGER}
    said = repro(project, "host")
    assert "Running stage" not in said
    assert "Data and pipelines are up to date." in said

    artifacts = project / "artifacts"
    origin = json.loads((artifacts / "manifest.json").read_text())["provenance"]
    identity = podman("image", "inspect", "--format={{.Id}}", IMAGES[0])
    assert origin["container_image"] == f"sha256:{identity}"
    assert f"ALEXNET_LOCK_DIGEST={origin['sha256']['requirements']}" in podman(
        "image", "inspect", "--format={{.Config.Env}}", IMAGES[0]
    )

    verified = serve("alexnet", "verify", ".", folder=artifacts)
    assert verified.returncode == 0, verified.stderr
    assert ". is whole: " in verified.stdout
    predicted = serve("alexnet", "predict", ".", "samples/00.png", "--json", folder=artifacts)
    assert predicted.returncode == 0, predicted.stderr
    (row,) = json.loads(predicted.stdout)
    expected = json.loads((artifacts / "samples/expected.json").read_text())[0]
    assert row["predictions"][0]["label"] == expected["label"]


def test_the_image_that_serves_is_small_and_has_no_pytorch():
    size = subprocess.run(
        ["podman", "image", "inspect", "--format={{.Size}}", IMAGES[1]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(size.stdout) < 600e6
    found = serve("python", "-c", "import onnxruntime, alexnet; import torch")
    assert found.returncode == 1
    assert "No module named 'torch'" in found.stderr


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_lists_its_packages(image):
    listed = json.loads(podman("run", "--rm", image, "cat", "/opt/alexnet/sbom.cdx.json"))
    assert listed["bomFormat"] == "CycloneDX"
    found = {(part["name"].lower(), part["version"]) for part in listed["components"]}
    program = (
        "from importlib.metadata import distributions\n"
        "print([(part.name.lower(), part.version) for part in distributions()])"
    )
    installed = set(ast.literal_eval(podman("run", "--rm", image, "python", "-c", program)))
    assert installed - {("pip", version) for _, version in installed} <= found
    assert found <= installed


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
    """What a training comes to that nobody disturbs."""
    folder = copy(prepared, "undisturbed")
    repro(folder, "podman", "train")
    return results(folder)


def results(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in RESULTS]


def containers(folder: Path) -> list[str]:
    """The containers, running or not, that see the folder."""
    names = podman("ps", "--all", "--format={{.Names}}", "--filter=name=alexnet-").split()
    source = "--format={{range .Mounts}}{{.Source}} {{end}}"
    return [name for name in names if str(folder) in podman("inspect", source, name).split()]


def trainers(folder: Path) -> list[str]:
    """The processes that train on the folder, in whatever container."""
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
def test_a_container_that_is_stopped_in_mid_training_keeps_what_it_has(command, prepared, expected):
    project = copy(prepared, f"stopped-{len(command)}")
    process = start(project, *command, STAGE_RUNTIME="podman")
    end = time.monotonic() + PATIENCE
    while not list(project.glob(".checkpoints/*/step-*.sha256")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end, "no checkpoint was written"
        time.sleep(0.05)
    (name,) = containers(project)
    assert trainers(project)
    podman("stop", name)
    code, said = finish(process)
    assert code != 0
    assert "stopped by SIGTERM" in said, "the trainer was told, and had the time to say so"
    assert not containers(project)
    assert not trainers(project)
    assert not (project / RESULTS[0]).exists()

    code, said = finish(start(project, *command, STAGE_RUNTIME="podman"))
    assert code == 0, said
    assert "going on from the checkpoint at step" in said
    assert results(project) == expected


def test_all_of_it_in_one_container(project):
    """As `make repro-container` does it; then nothing is left to be run, anywhere."""
    folder = copy(project, "whole")
    shutil.rmtree(folder / ".dvc/cache")
    for name in ("dvc.lock", "data", "models", "reports", "artifacts"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    code, said = finish(start(folder, "make", "-f", str(ROOT / "Makefile"), "repro-container"))
    assert code == 0, said
    for stage in STAGES:
        assert f"{stage}: in this container" in said
    assert {path.lstat().st_uid for path in folder.rglob("*")} == {STRANGER}
    assert "Data and pipelines are up to date." in repro(folder, "host")
    assert results(folder) == results(project)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("gate", "Read-only file system: 'reports/.gate.json"),
        ("runtime.container", "/project is mounted read-only; mount it for writing"),
    ],
)
def test_a_project_that_is_mounted_read_only(module, message, project):
    """A stage, and what starts one container for all of them."""
    volume = f"--volume={project}:/project:ro"
    done = subprocess.run(
        ["podman", "run", "--rm", volume, IMAGES[0], "python", "-m", f"stages.{module}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert line.endswith("or work in a copy of it")


def test_a_gpu_that_is_demanded_where_there_is_none(project):
    folder = copy(project, "gpu")
    write_params(folder, **SHORT, train__epochs=1, train__device="cuda")
    own(folder)
    code, said = finish(start(folder, "dvc", "repro", "train", STAGE_RUNTIME="podman"))
    assert code != 0
    assert "error: device: cuda is asked for, but PyTorch finds no CUDA GPU here" in said
