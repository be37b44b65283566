"""A project with results on its main branch, written directly in DVC's formats."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ruamel.yaml import YAML

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
    for name in ("DVC_REMOTE_URL", "COMPARE_WITH", "MAX_ACCURACY_DROP"):
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

    def here(accuracy: float, passed: bool = True, of_these_weights: bool = True) -> Path:
        (project / "models").mkdir(exist_ok=True)
        (project / "models/weights.safetensors").write_bytes(b"weights")
        digest = hashlib.sha256(b"weights" if of_these_weights else b"other").hexdigest()
        write_report(project / "reports/evaluate/metrics.json", METRICS | {"accuracy": accuracy})
        check = GATE["checks"][0] | {"value": 0.75 if passed else 0.5}
        verdict = GATE | {"passed": passed, "weights_sha256": digest, "checks": [check]}
        write_report(project / "reports/gate.json", verdict)
        if not (project / "dvc.lock").exists():
            dump(project / "dvc.lock", lock("b" * 32, 1))
        return project

    return here
