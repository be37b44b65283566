"""The images, as `make image` builds them: run them with `pytest -m container -n 0`.

As root the tests serve Podman to a user whom neither the machine nor the image knows, so
that the caller of `dvc repro` is one who owns nothing but the project.
"""

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
STAGES = ["download", "preprocess", "train", "evaluate", "gate", "plot", "export"]


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
    write_params(project, train__epochs=1, train__precision="fp32", gate__min_accuracy=0)
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


def repro(project: Path, runtime: str) -> str:
    scripts = str(Path(sys.executable).parent)
    environment = {
        "STAGE_RUNTIME": runtime,
        "CONTAINER_HOST": f"unix://{project.parent}/podman.sock",
        "PATH": f"{project.parent}:{scripts}:{os.environ['PATH']}",
        "HOME": str(project.parent / "home"),
        "USER": "stranger",
        "PYTHONWARNINGS": "default",
    }
    done = subprocess.run(
        [*AS_STRANGER, "dvc", "repro"],
        cwd=project,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


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
        assert f"{stage}: in podman, as STAGE_RUNTIME says, image {IMAGES[0]}" in said
    owners = {path.lstat().st_uid for path in project.rglob("*")}
    assert owners == {STRANGER}
    said = repro(project, "host")
    assert "Running stage" not in said
    assert "Data and pipelines are up to date." in said

    artifacts = project / "artifacts"
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
