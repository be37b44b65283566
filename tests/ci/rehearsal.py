"""The job of the workflow `train`, step by step: in a shell here, or as GitHub's runner runs it.

That runner creates a container whose first process does nothing, and runs each step by
`docker exec`. To cancel a job it signals the client of the running step alone, SIGINT, SIGTERM and
SIGKILL after seconds each (actions/runner: ContainerStepHost, ProcessInvoker), runs the steps that
run `always()`, and removes the container by force. That runner also mounts the Docker socket, /__t
and /__e, which no step uses: they are left out here.
"""

import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML

from tests.ci.conftest import git
from tests.conftest import ROOT, write_params
from tests.engines import ENGINE, TRAIN_IMAGE
from tests.stages.projects import AUTHOR, ENVIRONMENT, copy_code, wait_until

TRAIN = YAML(typ="safe").load(ROOT / ".github/workflows/train.yml")["jobs"]["train"]
STEPS = [step for step in TRAIN["steps"] if "run" in step]
PIPELINE = "Run the pipeline"
IMAGE = "sha256:" + "1" * 64
SHORT = {"train__epochs": 1, "train__precision": "fp32", "gate__min_accuracy": 0.5}
# Their outputs persist, and DVC keeps no run-cache of such stages.
WITHOUT_RUN_CACHE = ["pretrained", "download", "plot", "export"]
NETWORK = os.environ.get("REHEARSAL_NETWORK", "host")
WORKSPACE = "/__w/alexnet/alexnet"
# The seconds that the runner waits after SIGINT, and after SIGTERM.
PATIENCE = {signal.SIGINT: 7.5, signal.SIGTERM: 2.5}

# A step: its script, its environment, and where its output goes.
Runner = Callable[[str, dict[str, str], Path], "subprocess.Popen[bytes]"]


@dataclass
class Job:
    """The results of a job."""

    folder: Path
    log: str
    failed: str | None  # the step that failed, or was cancelled
    summary: str

    def ran(self, stage: str) -> bool:
        return f"Running stage '{stage}'" in self.log

    def weights(self) -> bytes:
        return (self.folder / "models/weights.safetensors").read_bytes()


def make_origin(folder: Path, **params: object) -> Path:
    """A repository with the pipeline on its main branch, and no results."""
    copy_code(folder)
    shutil.copytree(ROOT / "ci", folder / "ci", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("train.lock", "Dockerfile"):
        shutil.copy(ROOT / name, folder)
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc")
    shutil.copy(ROOT / ".dvc/.gitignore", folder / ".dvc")
    write_params(folder, **SHORT | params)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    return folder


def clone(origin: Path, folder: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", origin, folder], check=True)
    return folder


def merge(origin: Path, job: Job, folder: Path) -> Path:
    """The repository after the merge of what a job has proposed, cloned into a folder."""
    clone(origin, folder)
    shutil.copy(job.folder / "dvc.lock", folder)
    git(folder, "add", "dvc.lock")
    git(folder, "commit", "--quiet", "--message=results")
    return folder


def rehearse(
    folder: Path,
    remote: str,
    event: str = "push",
    runner: Runner | None = None,
    is_trusted: bool = True,
    cancel: Callable[[str], bool] | None = None,
    **environment: str,
) -> Job:
    """Run the job's steps in a checkout.

    cancel: tells from a step's output so far whether somebody cancels the job now.
    """
    runner = runner or in_shell(folder)
    files = folder.parent / f"{folder.name}-files"
    files.mkdir(exist_ok=True)
    (files / "env").touch()
    environment = job_variables() | environment
    environment |= {
        "DVC_REMOTE_URL": remote,
        "IMAGE": f"localhost/alexnet@{IMAGE}",
        "MAX_ACCURACY_DROP": "0.005",
        "PULL": "--pull" if is_trusted else "",
        "URL": "https://example.org",
    }
    conditions = {
        None: True,
        "always()": True,
        "inputs.trusted": is_trusted,
        "inputs.trusted && inputs.fresh_data": is_trusted and event == "schedule",
        "inputs.trusted && vars.RETRAIN_FROM": False,  # which is not set here
    }
    log, failed = "", None
    for step in STEPS:
        condition = step.get("if")
        if not conditions[condition] or (failed and condition != "always()"):
            continue
        lines = (files / "env").read_text().splitlines()
        environment |= dict(line.split("=", 1) for line in lines)
        output = files / "output"
        process = runner(step["run"], environment, output)
        if cancel and step["name"] == PIPELINE:
            wait_until(
                lambda process=process, output=output: (
                    process.poll() is not None or cancel(output.read_text())
                ),
                "what the job is cancelled at",
            )
            failed = _kill_client(process) if process.poll() is None else None
        code = process.wait()
        log += f"### {step['name']}\n{output.read_text()}\n"
        if code and failed is None:
            failed = step["name"]
    page = files / "page"
    return Job(folder, log, failed, page.read_text() if page.exists() else "")


def job_variables() -> dict[str, str]:
    """Those of the job's environment that are the same for every repository."""
    return {name: value for name, value in TRAIN["env"].items() if "${{" not in value}


def _kill_client(process: "subprocess.Popen[bytes]") -> str:
    for signum, seconds in PATIENCE.items():
        process.send_signal(signum)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return PIPELINE
    process.kill()
    return PIPELINE


def in_shell(folder: Path) -> Runner:
    """Steps in a shell of this machine, each project with a cache and checkpoints of its own."""
    files = folder.parent / f"{folder.name}-files"

    def run(script: str, environment: dict[str, str], output: Path) -> "subprocess.Popen[bytes]":
        environment = {
            **os.environ,
            **environment,
            **ENVIRONMENT,
            "DVC_CACHE_DIR": "",
            "GITHUB_ENV": str(files / "env"),
            "GITHUB_STEP_SUMMARY": str(files / "page"),
        }
        with output.open("wb") as file:
            return subprocess.Popen(
                ["bash", "-eo", "pipefail", "-c", script],
                cwd=folder,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    return run


@contextmanager
def in_container(folder: Path, volume: str, *mounts: Path) -> Iterator[Runner]:
    """Steps in a container, made and removed as the runner does; `volume` is the machine's.

    mounts: folders that the container has under the same path.
    """
    files = folder.parent / f"{folder.name}-files"
    name = f"rehearsal-{uuid.uuid4().hex[:8]}"
    home = files / "home"
    for each in (files, home):
        each.mkdir(exist_ok=True)
    (files / "env").touch()
    user = (1000, 1000) if os.getuid() == 0 else (os.getuid(), os.getgid())
    if os.getuid() == 0:
        for each in (folder, files, *mounts):
            subprocess.run(["chown", "--recursive", "1000:1000", each], check=True)
    options = ["--init", "--shm-size=2g", f"--user={user[0]}:{user[1]}"]
    options += [f"--volume={volume}:/var/lib/alexnet", *(f"--volume={m}:{m}" for m in mounts)]
    bound = {folder: WORKSPACE, files: "/__w/_temp", home: "/github/home"}
    _engine(
        *("create", f"--name={name}", f"--workdir={WORKSPACE}", f"--network={NETWORK}", *options),
        *("-e", "HOME=/github/home", "-e", "GITHUB_ACTIONS=true", "-e", "CI=true"),
        *(f"-v={here}:{there}" for here, there in bound.items()),
        *("--entrypoint", "tail", TRAIN_IMAGE),
        *("-f", "/dev/null"),
    )
    _engine("start", name)

    def run(script: str, environment: dict[str, str], output: Path) -> "subprocess.Popen[bytes]":
        environment = {
            **AUTHOR,
            **environment,
            "GITHUB_ENV": "/__w/_temp/env",
            "GITHUB_STEP_SUMMARY": "/__w/_temp/page",
        }
        (files / "step.sh").write_text(script)
        variables = [word for key in environment for word in ("-e", key)]
        command = [ENGINE, "exec", "-i", f"--workdir={WORKSPACE}", *variables, name]
        command += ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "/__w/_temp/step.sh"]
        with output.open("wb") as file:
            return subprocess.Popen(
                command,
                env=os.environ | environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    try:
        yield run
    finally:
        _engine("rm", "--force", name)


def _engine(*arguments: str) -> str:
    done = subprocess.run([ENGINE, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def new_volume() -> str:
    return _engine("volume", "create", f"rehearsal-{uuid.uuid4().hex[:8]}").strip()


def remove_volume(name: str) -> None:
    _engine("volume", "rm", "--force", name)


def objects(remote: Path) -> set[Path]:
    return {path for path in remote.rglob("*") if path.is_file()}


def digests(folder: Path) -> list[str]:
    """The bytes of a run's results."""
    names = ("models/weights.safetensors", "artifacts/manifest.json", "dvc.lock")
    return [(folder / name).read_bytes().hex() for name in names]
