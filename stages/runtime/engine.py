"""Docker and Podman: which of them can run a stage, and the command that does."""

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
CHECKPOINTS = ".checkpoints"  # of a stage in a container, in the project's folder
PROJECT = "/project"  # the project's folder in the container, the same for every stage
HOME = "/tmp"  # in the image, whoever the user is
ENGINES = ("docker", "podman")
RUNTIMES = ("auto", "host", *ENGINES)  # the values of STAGE_RUNTIME
TIMEOUT_SECONDS = 60.0  # an answer takes long on a busy machine
NOT_STARTED = 125  # an engine's exit code if it could not start the container
PARAMS_SHA256 = "ALEXNET_PARAMS_SHA256"  # of the params.yaml that a stage has to read


@dataclass(frozen=True)
class Engine:
    """An engine that answered and has the image."""

    name: str
    image: str
    digest: str
    rootless: bool = False  # a Podman that neither is root nor talks to a service that is
    lock: str | None = None  # SHA-256 of the train.lock that the image was built from

    def command(
        self,
        command: Sequence[str],
        folder: Path,
        mounts: dict[str, str],
        name: str,
        network: bool,
        share_pids: bool = False,
    ) -> list[str]:
        """The command line that runs `command` on the project in `folder`, as the folder's user.

        mounts: further files, read-only, {path here: path in the container}. The container
        can write to the project and /tmp alone; the files it writes belong to the user.
        """
        user, group = owner(folder)
        options = ["--rm", f"--name={name}", f"--user={user}:{group}"]
        options += [f"--volume={folder}:{PROJECT}", f"--workdir={PROJECT}"]
        options += [f"--volume={here}:{there}:ro" for here, there in mounts.items()]
        options += ["--read-only", "--tmpfs=/tmp:exec,mode=1777", "--shm-size=2g"]
        options += ["--cap-drop=all", "--security-opt=no-new-privileges"]
        options += ["--stop-timeout=120"]  # for the current step and a checkpoint
        if not network:
            options += ["--network=none"]
        if share_pids:
            options += ["--pid=host"]
        if self.name == "podman":
            # With labels, SELinux would hide the project from the container.
            options += ["--security-opt=label=disable"]
            if self.rootless:  # without it the caller would be root in the container
                options += ["--userns=keep-id"]
        options += self._gpus()
        options += [f"--env=ALEXNET_CHECKPOINTS={PROJECT}/{CHECKPOINTS}"]
        options += [f"--env=ALEXNET_IMAGE_DIGEST={self.digest}"]
        if expected := os.environ.get(PARAMS_SHA256):
            options += [f"--env={PARAMS_SHA256}={expected}"]
        return [self.name, "run", *options, self.image, *command]

    def remove(self, container: str) -> None:
        """Remove the container, running or not; no error if it is gone."""
        _ask(self.name, "rm", "--force", container)

    def _gpus(self) -> list[str]:
        if not has_gpus():
            return []
        return ["--gpus=all"] if self.name == "docker" else ["--device=nvidia.com/gpu=all"]


def resolve_runtime(wanted: str, host_allowed: bool = True) -> tuple[Engine | None, str]:
    """Where to run: (the engine, or None for the host; the reason, for people).

    wanted: one of RUNTIMES; `auto` takes the first engine that can run a stage, else the host.
    host_allowed: if False, `host` is the same as `auto`, and no engine is an error.
    Raises UserError if `wanted` is unknown or cannot run a stage.
    """
    if wanted not in RUNTIMES:
        raise UserError(f"STAGE_RUNTIME: {wanted} is none of {', '.join(RUNTIMES)}")
    if host_allowed and os.environ.get("ALEXNET_IN_CONTAINER"):
        return None, "in this container"
    if host_allowed and wanted == "host":
        return None, "on the host (STAGE_RUNTIME=host)"
    missing = []
    for name in (wanted,) if wanted in ENGINES else ENGINES:
        try:
            engine = detect_engine(name)
        except UserError as error:
            missing.append(str(error))
        else:
            return engine, f"in {name} (STAGE_RUNTIME={wanted}), image {engine.image}"
    if wanted in ENGINES:
        raise UserError(f"STAGE_RUNTIME={wanted}: {missing[0]}")
    if not host_allowed:
        raise UserError("; ".join(missing))
    return None, f"on the host: {'; '.join(missing)}"


def detect_engine(name: str) -> Engine:
    """The engine of that name. Raises UserError with the reason if it cannot run a stage."""
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
    """Raises UserError if the folder is mounted read-only."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise UserError(
            f"{folder} is mounted read-only; mount it for writing, or work in a copy of it"
        )


def print_hint(engine: Engine, code: int) -> None:
    """Print what to check if the engine could not start the container; else nothing."""
    if code != NOT_STARTED:
        return
    gpus = "the NVIDIA Container Toolkit is installed" if has_gpus() else "it may use the image"
    if has_gpus() and engine.name == "podman":
        gpus += " and `nvidia-ctk cdi generate` was run"
    print(
        f"error: {engine.name} could not start the container (its reason is above); check that "
        f"{gpus}, or run on the host with STAGE_RUNTIME=host",
        file=sys.stderr,
    )


def owner(folder: Path) -> tuple[int, int]:
    """(user id, group id) that run the stage: the caller's or, for root, the folder's."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    status = folder.stat()
    return status.st_uid, status.st_gid
