"""The images of `make image`, in Docker or Podman: `pytest -m container -n 0`.

ENGINE=docker or ENGINE=podman names the engine, which then has to have the images. Else it is the
first that has the serving one, and tests without their image are skipped.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

TRAIN_IMAGE, SERVE_IMAGE = IMAGES = ("localhost/alexnet:latest", "localhost/alexnet-serve:latest")
ENGINES = ("docker", "podman")


def has_images(engine: str, *images: str) -> bool:
    try:
        found = subprocess.run([engine, "image", "inspect", *images], capture_output=True)
    except FileNotFoundError:
        return False
    return found.returncode == 0


ENGINE = os.environ.get("ENGINE") or next(
    (name for name in ENGINES if has_images(name, SERVE_IMAGE)), ENGINES[0]
)


def needs(*images: str) -> list[pytest.MarkDecorator]:
    """The marks of a test in these images."""
    reason = f"{ENGINE} has no image {' or '.join(images)}; `make image` builds it"
    # Whoever names the engine wants no test to be skipped.
    there = "ENGINE" in os.environ or has_images(ENGINE, *images)
    return [
        pytest.mark.container,
        pytest.mark.slow,
        pytest.mark.skipif(not there, reason=reason),
    ]


# Any user, who can write nothing; and of the network, the container's own loopback alone.
LOCKED = ["--network=none", "--read-only", "--user=54321:54321"]
LOCKED += ["--cap-drop=all", "--security-opt=no-new-privileges"]
LOCKED += ["--read-only-tmpfs=false"] if ENGINE == "podman" else []


def engine(*arguments: str) -> str:
    """What the engine prints."""
    done = subprocess.run([ENGINE, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def inspect_image(image: str) -> dict:
    """The image's record; its `Id` as Docker writes it, with the kind of digest."""
    (record,) = json.loads(engine("image", "inspect", image))
    return record | {"Id": "sha256:" + record["Id"].removeprefix("sha256:")}


def is_healthy(container: str) -> bool:
    if ENGINE == "podman":  # without systemd nothing runs its checks
        command = ["podman", "healthcheck", "run", container]
        return subprocess.run(command, capture_output=True).returncode == 0
    return engine("inspect", "--format={{.State.Health.Status}}", container) == "healthy"


def docker_socket() -> Path:
    """Of the daemon that the client talks to."""
    return Path(
        os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    )
