"""Docker and Podman: which of them can run a stage, and the command that does."""

import hashlib
import os
import re
import shutil
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

IMAGE = "localhost/alexnet:latest"  # or ALEXNET_IMAGE
LOCK = Path("requirements.lock")  # stages.paths.LOCK, which needs a library
ENGINES = ("docker", "podman")
RUNTIMES = ("auto", "host", *ENGINES)  # the values of STAGE_RUNTIME
EXPLAIN = "-v"  # after one of them: the whole reason of the choice
TIMEOUT_SECONDS = 60.0  # an answer takes long on a busy machine
NOT_STARTED = (125, 126, 127)  # an engine's exit codes if it could not start the container
PARAMS_SHA256 = "ALEXNET_PARAMS_SHA256"  # of the params.yaml that a stage has to read


class NotThere(UserError):
    """An engine that is not installed, or has no image: nothing is wrong with it."""


@dataclass(frozen=True)
class Engine:
    """An engine that answered and has the image."""

    name: str
    image: str
    digest: str
    security: str = ""  # a word of SECURITY that the engine says of itself
    lock: str | None = None  # SHA-256 of the LOCK that the image was built from

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
        _ask(self.name, "rm", "--force", container)

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


def resolve_runtime(wanted: str, host_allowed: bool = True) -> tuple[Engine | None, str]:
    """Where to run: (the engine, or None for the host; one line that says so, for people).

    wanted: one of RUNTIMES; `auto` takes the first engine that can run a stage, and whose image was
    built from the project's lock, else the host. With ` -v` after it, and if something is wrong
    with an engine, the line has the whole reason.
    host_allowed: if False, `host` is the same as `auto`, and no engine is an error.
    Raises UserError if `wanted` is unknown or cannot run a stage.
    """
    name, *options = wanted.split() or ["auto"]
    if name not in RUNTIMES or options not in ([], [EXPLAIN]):
        raise UserError(
            f"STAGE_RUNTIME: {wanted} is none of {', '.join(RUNTIMES)}, with or without {EXPLAIN}"
        )
    if host_allowed and os.environ.get("ALEXNET_IN_CONTAINER"):
        return None, "in this container"
    if host_allowed and name == "host":
        return None, "on the host"
    if name in ENGINES:
        try:
            engine = detect_engine(name)
        except UserError as error:
            raise UserError(f"STAGE_RUNTIME={name}: {error}") from None
        warning = f"\nwarning: {other}" if (other := other_lock(engine)) else ""
        return engine, f"in {engine.name}{_details(engine) if options else ''}{warning}"
    found, passed = _first_engine()
    if not found and not host_allowed:
        raise UserError("; ".join(map(str, passed)))
    where = f"in {found.name}" if found else "on the host"
    if not options and all(isinstance(error, NotThere) for error in passed):
        return found, where if found else f"{where} (no engine has the image)"
    reason = f" ({'; '.join(map(str, passed))})" if passed else ""
    return found, f"{where}{_details(found) if found else ''}{reason}"


def _first_engine() -> tuple[Engine | None, list[UserError]]:
    """The first one that `auto` may take, and why those before it were passed over."""
    passed = []
    for name in ENGINES:
        try:
            engine = detect_engine(name)
            if other := other_lock(engine):
                raise UserError(f"{other}, STAGE_RUNTIME={name} takes it as it is")
            return engine, passed
        except UserError as error:
            passed.append(error)
    return None, passed


def _details(engine: Engine) -> str:
    return f", image {engine.image}, {engine.digest[:19]}"


def other_lock(engine: Engine) -> str:
    """Says that the image was not built from the project's lock; empty if it was, or has none."""
    if not LOCK.exists() or engine.lock == hashlib.sha256(LOCK.read_bytes()).hexdigest():
        return ""
    built = f"was built from another {LOCK}" if engine.lock else f"does not name its {LOCK}"
    return f"{engine.name}'s image {engine.image} {built}; `make image` renews it"


def detect_engine(name: str) -> Engine:
    """The engine of that name. Raises UserError with the reason if it cannot run a stage."""
    image = os.environ.get("ALEXNET_IMAGE") or IMAGE
    if shutil.which(name) is None:
        raise NotThere(f"{name} is not installed")
    version = _ask(name, "version")
    if version.returncode != 0:
        raise UserError(f"{name} does not answer: {_last_line(version.stderr)}")
    if re.search(r"^Client:\s+Podman", version.stdout):  # podman-docker: options are Podman's
        name = "podman"
    _require_local(name)
    found = _ask(name, "image", "inspect", "--format={{.Id}} {{.Config.Env}}", image)
    if found.returncode != 0:
        raise NotThere(f"{name} has no image {image}; `make image` builds it")
    identity, _, environment = found.stdout.partition(" ")
    digest = "sha256:" + identity.strip().removeprefix("sha256:")  # Podman leaves it out
    built_from = re.search(r"\bALEXNET_LOCK_DIGEST=([0-9a-f]{64})\b", environment)
    return Engine(name, image, digest, _security(name), built_from[1] if built_from else None)


def _security(name: str) -> str:
    """`rootless`, `userns` (Docker's userns-remap) or nothing, of whoever starts the containers.

    The caller's user id does not show it: the engine may talk to a service that is root.
    """
    if name == "podman":
        asked = _ask(name, "info", "--format={{.Host.Security.Rootless}}")
        return "rootless" if asked.stdout.strip() == "true" else ""
    asked = _ask(name, "info", "--format={{.SecurityOptions}}")
    found = re.search(r"\bname=(rootless|userns)\b", asked.stdout)
    return found[1] if found else ""


def _require_local(name: str) -> None:
    """Raises UserError if the engine is another machine's, which does not have the project."""
    if name == "podman":
        place = os.environ.get("CONTAINER_HOST", "")
    else:  # the host of its context
        asked = _ask(name, "context", "inspect", "--format={{.Endpoints.docker.Host}}")
        place = os.environ.get("DOCKER_HOST") or asked.stdout.strip()
    if re.match(r"(ssh|tcp|https?)://(?!localhost\b|127\.)", place):
        variable = "CONTAINER_HOST" if name == "podman" else "DOCKER_HOST, or docker context use"
        raise UserError(
            f"{name} starts containers on another machine, {place}, which does not have this "
            f"folder; run there, or name the engine of this machine ({variable})"
        )


def _ask(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [name, *arguments], capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{name} did not answer within {TIMEOUT_SECONDS:g} s") from None


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it gives no reason"])[-1]


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
    advice = f"{toolkit_advice(engine.name)}; or" if has_gpus() else "check that it may use it, or"
    print(
        f"error: {engine.name} could not start the container, or the command in it (its reason is "
        f"above); {advice} run on the host with STAGE_RUNTIME=host",
        file=sys.stderr,
    )


def owner(folder: Path) -> tuple[int, int]:
    """(user id, group id) that run the stage: the caller's or, for root, the folder's."""
    if os.getuid() != 0:
        return os.getuid(), os.getgid()
    status = folder.stat()
    return status.st_uid, status.st_gid
