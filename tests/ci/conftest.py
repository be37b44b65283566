"""A project with results on its main branch, written directly in DVC's formats."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.reports import GATE, METRICS, write_report

PIPELINE = {
    "stages": {
        "evaluate": {
            "cmd": "true",
            "deps": ["data/processed/test.safetensors"],
            "metrics": ["reports/evaluate/metrics.json"],
        }
    }
}


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def store(remote: Path, content: bytes) -> str:
    """Put a file into a DVC remote; returns its digest."""
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    place = remote / "files/md5" / digest[:2] / digest[2:]
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return digest


def lock(metrics: str, size: int, images: str = "a" * 32) -> dict:
    """A dvc.lock with the input and the output of evaluate."""
    image = {"path": "data/processed/test.safetensors", "hash": "md5", "md5": images, "size": 1}
    out = {"path": "reports/evaluate/metrics.json", "hash": "md5", "md5": metrics, "size": size}
    return {
        "schema": "2.0",
        "stages": {"evaluate": {"cmd": "true", "deps": [image], "outs": [out]}},
    }


def dump(path: Path, values: dict) -> None:
    YAML().dump(values, path)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without results and a DVC remote; it is the current directory."""
    folder = tmp_path / "project"
    (folder / ".dvc").mkdir(parents=True)
    (tmp_path / "remote").mkdir()
    (folder / ".dvc/config").write_text(
        "[core]\n    analytics = false\n    remote = store\n"
        f"['remote \"store\"']\n    url = {tmp_path / 'remote'}\n"
    )
    (folder / ".gitignore").write_text("/reports/\n/models/\n/data/\n")
    dump(folder / "dvc.yaml", PIPELINE)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    monkeypatch.chdir(folder)
    for name in ("DVC_REMOTE_URL", "COMPARE_WITH", "MAX_ACCURACY_DROP", "RETRAIN_FROM"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def on_main(project: Path) -> Callable[..., Path]:
    """Give the main branch a model of some accuracy, whose metrics are on the remote alone."""

    def on_main(accuracy: float, pushed: bool = True) -> Path:
        content = json.dumps(METRICS | {"accuracy": accuracy}).encode()
        remote = project.parent / ("remote" if pushed else "nowhere")
        dump(project / "dvc.lock", lock(store(remote, content), len(content)))
        git(project, "add", "dvc.lock")
        git(project, "commit", "--quiet", "--message=results")
        return project

    return on_main


@pytest.fixture
def here(project: Path) -> Callable[..., Path]:
    """Write the results of a run with some accuracy."""

    def here(
        accuracy: float,
        passed: bool = True,
        of_these_weights: bool = True,
        parent: str | None = None,
    ) -> Path:
        (project / "models").mkdir(exist_ok=True)
        (project / "models/weights.safetensors").write_bytes(b"weights")
        digest = hashlib.sha256(b"weights" if of_these_weights else b"other").hexdigest()
        write_report(project / "reports/evaluate/metrics.json", METRICS | {"accuracy": accuracy})
        check = GATE["checks"][0] | {"value": 0.75 if passed else 0.5}
        verdict = GATE | {"passed": passed, "weights_sha256": digest, "checks": [check]}
        write_report(project / "reports/gate.json", verdict)
        start = {"matched": ["cat|tom", "dog"], "new": [], "dropped": [], "freeze": "none"}
        start |= {"parent": {"kind": "weights", "sha256": parent}}
        write_report(project / "reports/train/warm_start.json", start if parent else None)
        if not (project / "dvc.lock").exists():
            dump(project / "dvc.lock", lock("b" * 32, 1))
        return project

    return here


# Its answers depend on files that a test puts beside it.
FAKE = """#!{python}
import json, os, subprocess, sys
from pathlib import Path
here = Path(__file__).parent
with open(here / "calls", "a") as log:
    print(json.dumps(sys.argv), file=log)
if "PATCH" in sys.argv:
    (here / "body").write_text(Path(sys.argv[-1].removeprefix("body=@")).read_text())
elif sys.argv[1] == "api" and "/pulls?" in sys.argv[2]:
    if (here / "open").exists() and "&head=someone:retrain" in sys.argv[2]:
        print(7)
elif sys.argv[1] == "api":
    answer = json.loads((here / "answer").read_text())
    sys.stderr.write(answer.get("error", ""))
    output = answer.get("output", "")
    if output:  # JSON, which gh gives to a jq of its own
        command = ["jq", "-r", sys.argv[sys.argv.index("--jq") + 1]]
        output = subprocess.run(command, input=output, stdout=subprocess.PIPE, text=True).stdout
    sys.stdout.write(output)
    sys.exit(answer["code"])
if sys.argv[1:3] == ["buildx", "create"]:
    print("mine")
if "imagetools" in sys.argv:
    print("sha256:def")
if sys.argv[1:3] == ["release", "view"]:
    sys.exit(0 if (here / "released").exists() else 1)
if "--body-file" in sys.argv:
    text = Path(sys.argv[sys.argv.index("--body-file") + 1]).read_text()
    (here / "body").write_text(text)
for argument in sys.argv:
    if "/alexnet-v1" in argument:
        (here / Path(argument).name).write_bytes(Path(argument).read_bytes())
if "sign" in sys.argv:
    Path(sys.argv[sys.argv.index("--signature") + 1]).touch()
if "--metadata-file" in sys.argv:
    facts = Path(sys.argv[sys.argv.index("--metadata-file") + 1])
    facts.write_text(json.dumps({{"containerimage.digest": "sha256:abc"}}))
"""


@pytest.fixture
def job(tmp_path):
    """A checkout of main whose origin is beside it, and the results of a run."""
    origin, checkout, results = (tmp_path / name for name in ("origin", "checkout", "results"))
    subprocess.run(
        ["git", "init", "--quiet", "--bare", "--initial-branch=main", origin], check=True
    )
    git(tmp_path, "clone", "--quiet", str(origin), "checkout")
    (checkout / "ci").mkdir()
    for script in (ROOT / "ci").glob("*.sh"):
        (checkout / "ci" / script.name).write_bytes(script.read_bytes())
        (checkout / "ci" / script.name).chmod(0o755)
    (checkout / "train.lock").write_text("torch\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message=first")
    git(checkout, "push", "--quiet", "origin", "HEAD:main")
    (results / "artifacts/samples").mkdir(parents=True)
    (results / "artifacts/model.onnx").write_bytes(b"model")
    (results / "artifacts/samples/00.png").write_bytes(b"image")
    (results / "artifacts/MODEL_CARD.md").write_text("# AlexNet\n")
    (results / "artifacts.sig").write_text("by key")
    (results / "artifacts.sigstore.json").write_text("by the job")
    (results / "dvc.lock").write_text("the new one\n")
    (results / "summary.md").write_text("# Retraining\n")
    (results / "reports/figures").mkdir(parents=True)
    for name in ("loss", "mistakes", "volumes"):
        (results / f"reports/figures/{name}.png").write_bytes(name.encode())
    (tmp_path / "bin").mkdir()
    for name in ("gh", "docker"):
        (tmp_path / "bin" / name).write_text(FAKE.format(python=sys.executable))
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def call(job: Path, script: str, *arguments: object, **environment: str):
    return subprocess.run(
        [job / "checkout/ci" / script, *map(str, arguments)],
        cwd=job,
        env=os.environ
        | {"PATH": f"{job / 'bin'}:{os.environ['PATH']}", "GITHUB_REPOSITORY": "someone/alexnet"}
        | environment,
        capture_output=True,
        text=True,
    )


def calls(job: Path) -> list[list[str]]:
    log = job / "bin/calls"
    return [json.loads(line)[1:] for line in log.read_text().splitlines()] if log.exists() else []
