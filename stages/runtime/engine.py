"""Docker or Podman: whether one can run a stage, and the command that does."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alexnet.errors import UserError

IMAGE = "localhost/alexnet:latest"  # or ALEXNET_IMAGE
PROJECT = "/project"  # where the project lies in the container, for every stage the same
ENGINES = ("docker", "podman")
TIMEOUT_SECONDS = 60.0  # on a busy machine an answer takes its time
NOT_STARTED = 125  # what an engine exits with if it could not start the container


@dataclass(frozen=True)
class Engine:
    """An engine that answered and has the image."""

    name: str
    image: str
    digest: str
    rootless: bool = False  # a Podman that is not root, nor talks to one that is
    lock: str | None = None  # SHA-256 of the requirements.lock that the image was built from

    def command(
        self,
        command: Sequence[str],
        folder: Path,
        mounts: dict[str, str],
        name: str,
        network: bool,
        share_pids: bool = False,
    ) -> list[str]:
        """What runs the command on the project in `folder`, as the folder's user.

        mounts: further files to read, {path here: path there}. Nothing but the project
        and /tmp can be written, and what is written belongs to the user.
        """
        user, group = owner(folder)
        options = ["--rm", f"--name={name}", f"--user={user}:{group}"]
        options += [f"--volume={folder}:{PROJECT}", f"--workdir={PROJECT}"]
        options += [f"--volume={here}:{there}:ro" for here, there in mounts.items()]
        options += ["--read-only", "--tmpfs=/tmp:exec,mode=1777", "--shm-size=2g"]
        options += ["--cap-drop=all", "--security-opt=no-new-privileges"]
        options += ["--stop-timeout=120"]  # for the step under way and a checkpoint
        if not network:
            options += ["--network=none"]
        if share_pids:
            options += ["--pid=host"]
        if self.name == "podman":
            # Labels would keep SELinux from letting the container see the project.
            options += ["--security-opt=label=disable"]
            if self.rootless:  # without it the caller would be root in the container
                options += ["--userns=keep-id"]
        options += self._gpus()
        options += [f"--env=ALEXNET_CHECKPOINTS={PROJECT}/.checkpoints"]
        options += [f"--env=ALEXNET_IMAGE_DIGEST={self.digest}"]
        return [self.name, "run", *options, self.image, *command]

    def remove(self, container: str) -> None:
        """End the container if it is still there."""
        _ask(self.name, "rm", "--force", container)

    def _gpus(self) -> list[str]:
        if not has_gpus():
            return []
        return ["--gpus=all"] if self.name == "docker" else ["--device=nvidia.com/gpu=all"]


def detect_engine(name: str) -> Engine:
    """The engine of that name. Raises UserError if it cannot run a stage, and says why."""
    image = os.environ.get("ALEXNET_IMAGE") or IMAGE
    if shutil.which(name) is None:
        raise UserError(f"{name} is not installed")
    version = _ask(name, "version")
    if version.returncode != 0:
        raise UserError(f"{name} does not answer: {_last_line(version.stderr)}")
    found = _ask(name, "image", "inspect", "--format={{.Id}} {{.Config.Env}}", image)
    if found.returncode != 0:
        raise UserError(f"{name} has no image {image}; `make image` builds it")
    identity, _, environment = found.stdout.partition(" ")
    digest = "sha256:" + identity.strip().removeprefix("sha256:")  # Podman leaves it out
    built_from = re.search(r"\bALEXNET_LOCK_DIGEST=([0-9a-f]{64})\b", environment)
    lock = built_from[1] if built_from else None
    if name == "docker":
        return Engine(name, image, digest, lock=lock)
    rootless = _ask(name, "info", "--format={{.Host.Security.Rootless}}").stdout.strip()
    return Engine(name, image, digest, rootless == "true", lock)


def _ask(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [name, *arguments], capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{name} did not answer within {TIMEOUT_SECONDS:g} s") from None


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it gives no reason"])[-1]


def has_gpus() -> bool:
    """Whether NVIDIA's driver is loaded."""
    return Path("/dev/nvidiactl").exists()


def check_writable(folder: Path) -> None:
    """Raises UserError if the stages cannot write where they should."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise UserError(
            f"{folder} is mounted read-only; mount it for writing, or work in a copy of it"
        )


def print_hint(engine: Engine, code: int) -> None:
    """Say what to do about an engine that could not start the container; else nothing."""
    if code != NOT_STARTED:
        return
    gpus = "the NVIDIA Container Toolkit is installed" if has_gpus() else "it may use the image"
    if has_gpus() and engine.name == "podman":
        gpus += " and `nvidia-ctk cdi generate` was run"
    print(
        f"error: {engine.name} could not start the container, and says why above; see whether "
        f"{gpus}, or run on the host with STAGE_RUNTIME=host",
        file=sys.stderr,
    )


def owner(folder: Path) -> tuple[int, int]:
    """Who runs the stage: the caller, or, for root, the user whose project it is."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    status = folder.stat()
    return status.st_uid, status.st_gid
