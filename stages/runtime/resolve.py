"""Where to run: on the host, or with Docker or Podman, the first that can."""

import hashlib
import os
import re
import shutil
from pathlib import Path

from alexnet.errors import UserError
from stages.runtime.engine import Engine, ask

IMAGE = "localhost/alexnet:latest"
IMAGE_NAME = "ALEXNET_IMAGE"  # the variable that names another
LOCK = Path("train.lock")  # stages.paths.LOCK, which needs a library
CPU_LOCK = Path("train-cpu.lock")  # whose first line names the train.lock that it was made beside
ENGINES = ("docker", "podman")
RUNTIMES = ("auto", "host", *ENGINES)  # the values of STAGE_RUNTIME
EXPLAIN = "-v"  # after one of them: the whole reason of the choice


class NoEngineError(UserError):
    """An engine is not installed, or has no image: nothing is wrong with it."""


def resolve_runtime(wanted: str, host_allowed: bool = True) -> tuple[Engine | None, str]:
    """Where to run: (the engine, or None for the host; one line that says so, for people).

    wanted: one of RUNTIMES; `auto` takes the first engine that can run a stage, and whose image was
    built from the project's lock, else the host; the line says what is wrong with an engine. With
    ` -v` after it, it has the whole reason.
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
    if not found and os.environ.get(IMAGE_NAME):  # whoever names one wants it
        raise UserError(f"{'; '.join(map(str, passed))}. Without {IMAGE_NAME}, it runs on the host")
    where = f"in {found.name}" if found else "on the host"
    if not options:  # each stage says it, so in a few words
        wrong = [str(error) for error in passed if not isinstance(error, NoEngineError)]
        brief = "; ".join(each.partition(": ")[0] for each in wrong)
        if not found and not wrong:
            brief = "no engine has the image"
        return found, f"{where} ({brief})" if brief else where
    reason = f" ({'; '.join(map(str, passed))})" if passed else ""
    return found, f"{where}{_details(found) if found else ''}{reason}"


def _first_engine() -> tuple[Engine | None, list[UserError]]:
    """The first one that `auto` may take, and why those before it were passed over."""
    passed: list[UserError] = []
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
    """Says that the image was built from none of the project's locks; empty if it was."""
    if not LOCK.exists() or engine.lock in _lock_digests():
        return ""
    built = f"was built from another {LOCK}" if engine.lock else f"does not name its {LOCK}"
    return f"{engine.name}'s image {engine.image} {built}; `make image` renews it"


def _lock_digests() -> list[str]:
    """Of train.lock, and of train-cpu.lock unless train.lock has changed since."""
    digests = [hashlib.sha256(LOCK.read_bytes()).hexdigest()]
    cpu = CPU_LOCK.read_bytes() if CPU_LOCK.exists() else b""
    if cpu.startswith(f"# {LOCK} {digests[0]}\n".encode()):
        digests.append(hashlib.sha256(cpu).hexdigest())
    return digests


def detect_engine(name: str) -> Engine:
    """The engine of that name. Raises UserError with the reason if it cannot run a stage."""
    image = os.environ.get(IMAGE_NAME) or IMAGE
    if shutil.which(name) is None:
        raise NoEngineError(f"{name} is not installed")
    _require_local(name)
    version = ask(name, "version")
    if version.returncode != 0:
        raise UserError(f"{name} does not answer: {_last_line(version.stderr)}")
    if re.search(r"^Client:\s+Podman", version.stdout) and name != "podman":
        return detect_engine("podman")  # podman-docker: it takes Podman's options
    found = ask(name, "image", "inspect", "--format={{.Id}} {{.Config.Env}}", image)
    if found.returncode != 0:
        raise NoEngineError(f"{name} has no image {image}; `make image` builds it")
    identity, _, environment = found.stdout.partition(" ")
    digest = "sha256:" + identity.strip().removeprefix("sha256:")  # Podman leaves it out
    built_from = re.search(r"\bALEXNET_LOCK_DIGEST=([0-9a-f]{64})\b", environment)
    return Engine(name, image, digest, _security(name), built_from[1] if built_from else None)


def _security(name: str) -> str:
    """`rootless`, `userns` (Docker's userns-remap) or nothing, of whoever starts the containers.

    The caller's user id does not show it: the engine may talk to a service that is root.
    """
    if name == "podman":
        asked = ask(name, "info", "--format={{.Host.Security.Rootless}}")
        return "rootless" if asked.stdout.strip() == "true" else ""
    asked = ask(name, "info", "--format={{.SecurityOptions}}")
    found = re.search(r"\bname=(rootless|userns)\b", asked.stdout)
    return found[1] if found else ""


def _require_local(name: str) -> None:
    """Raises UserError if the engine is another machine's, which does not have the project."""
    if name == "podman":
        place = os.environ.get("CONTAINER_HOST", "")
    else:  # the host of its context
        asked = ask(name, "context", "inspect", "--format={{.Endpoints.docker.Host}}")
        place = os.environ.get("DOCKER_HOST") or asked.stdout.strip()
    if re.match(r"(ssh|tcp|https?)://(?!localhost\b|127\.)", place):
        variable = "CONTAINER_HOST" if name == "podman" else "DOCKER_HOST, or docker context use"
        raise UserError(
            f"{name} starts containers on another machine, {place}, which does not have this "
            f"folder; run there, or name the engine of this machine ({variable})"
        )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it gives no reason"])[-1]
