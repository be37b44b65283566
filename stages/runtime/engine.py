"""Docker and Podman: the command that runs a stage in a container."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alexnet.errors import UserError
from stages.runtime.dvc_config import DvcConfig
from stages.runtime.environment import fixed_variables, named_files, passed_names
from stages.runtime.gpus import gpu_options, has_gpus, toolkit_advice, unloaded_gpu
from stages.runtime.mounts import (
    CHECKPOINTS,
    DVC_FOLDERS,
    FOLDERS,
    PROJECT,
    Mount,
    git_folder,
    linked_caches,
    linked_folders,
    unique,
)

TIMEOUT_SECONDS = 20.0  # an answer takes long on a busy machine
NOT_STARTED = (125, 126, 127)  # an engine's exit codes if it could not start the container
PARAMS_SHA256 = "ALEXNET_PARAMS_SHA256"  # of the params.yaml that a stage has to read


@dataclass(frozen=True)
class Engine:
    """An engine that answered and has the image."""

    name: str
    image: str
    digest: str
    security: str = ""  # rootless, userns (the daemon's userns-remap) or nothing
    lock: str | None = None  # SHA-256 of the lock that the image was built from

    def command(
        self,
        command: Sequence[str],
        name: str,
        network: bool = False,
        mounts: Iterable[Mount] = (),
        dvc: DvcConfig | None = None,
    ) -> list[str]:
        """The command line that runs `command` on the project, which is the current folder.

        network: the container has one. dvc: DVC itself runs in it. The container can write to the
        project, to the folders that the project links to, and to /tmp alone; the files it writes
        belong to the project's user.
        """
        names = passed_names(network, dvc.schemes if dvc else ())
        folders = [*FOLDERS, *(DVC_FOLDERS if dvc else ())]
        every = [
            *(Mount(Path.cwd(), PROJECT, writable=True), *linked_folders(folders)),
            *(*linked_caches(), *git_folder(writable=dvc is not None), *named_files(names)),
            *(*mounts, *(dvc.mounts if dvc else ())),
        ]
        options = ["--rm", f"--name={name}", *self._user(), f"--workdir={PROJECT}"]
        options += [mount.option() for mount in unique(every)]
        options += ["--read-only", "--tmpfs=/tmp:exec,mode=1777", "--shm-size=2g"]
        options += ["--cap-drop=all", "--security-opt=no-new-privileges"]
        # With labels, SELinux would hide the project from the container.
        options += ["--security-opt=label=disable"]
        options += ["--stop-timeout=120"]  # for the current step and a checkpoint
        if not network:
            options += ["--network=none"]
        if dvc:
            # DVC recognises a stale lock by its holder's process id, which has to mean the same
            # here and in the container.
            options += ["--pid=host"]
        if self.name == "podman":  # which would pass proxies, and with them passwords, to all
            options += ["--http-proxy=false"]
        options += gpu_options(self.name)
        variables = [f"ALEXNET_CHECKPOINTS={PROJECT}/{CHECKPOINTS}"]
        variables += [f"ALEXNET_IMAGE_DIGEST={self.digest}", *fixed_variables(), *names]
        variables += dvc.variables if dvc else ()
        if expected := os.environ.get(PARAMS_SHA256):
            variables += [f"{PARAMS_SHA256}={expected}"]
        options += [f"--env={variable}" for variable in variables]
        return [self.name, "run", *options, self.image, *command]

    def remove(self, container: str) -> None:
        """Remove the container, running or not; no error if it is gone."""
        ask(self.name, "rm", "--force", container)

    def _user(self) -> list[str]:
        """The options with which what the container writes belongs to the project's user."""
        user, group = owner(Path.cwd())
        if self.name == "docker" and self.security == "rootless":
            return ["--user=0:0"]  # who is the caller outside; others are nobody there
        options = [f"--user={user}:{group}"]
        if self.name == "podman" and self.security == "rootless":
            options += ["--userns=keep-id"]  # without it the caller would be root in the container
        if self.security == "userns":  # the daemon's userns-remap: user ids are others outside
            options += ["--userns=host"]
        return options


def ask(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [name, *arguments], capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{name} did not answer within {TIMEOUT_SECONDS:g} s") from None


def check_writable(folder: Path) -> None:
    """Raises UserError if the folder is mounted read-only."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise UserError(
            f"{folder} is mounted read-only; mount it for writing, or work in a copy of it"
        )


def warn_of_unloaded_gpu() -> None:
    """Print that a GPU is not used for want of its driver: training would just be slow."""
    if address := unloaded_gpu():
        print(
            f"warning: the NVIDIA GPU {address} is not used: its driver is not loaded, or has made "
            "no /dev/nvidiactl; `nvidia-smi`, or `sudo nvidia-modprobe`, does both",
            file=sys.stderr,
        )


def print_hint(engine: Engine, code: int) -> None:
    """Print what to check if the engine could not start the container; else nothing."""
    if code not in NOT_STARTED:
        return
    share = "check that it may use the image and this folder"
    print(
        f"error: {engine.name} could not start the container, or the command in it (its reason is "
        f"above); {toolkit_advice(engine.name) if has_gpus() else share}, or run on the host with "
        "STAGE_RUNTIME=host",
        file=sys.stderr,
    )


def owner(folder: Path) -> tuple[int, int]:
    """(user id, group id) that run the stage: the caller's or, for root, the folder's."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    status = folder.stat()
    return status.st_uid, status.st_gid
