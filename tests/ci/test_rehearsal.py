"""The steps of the retraining job, from the workflow's file, in clones of a project."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.ci.conftest import git
from tests.conftest import ROOT, write_params
from tests.stages.projects import ENVIRONMENT, copy_code, executed

WORKFLOW = YAML(typ="safe").load(ROOT / ".github/workflows/retrain.yml")
STEPS = [step for step in WORKFLOW["jobs"]["retrain"]["steps"] if "run" in step]
FRESH = "github.event_name == 'schedule' || inputs.fresh_data"
IMAGE = "sha256:" + "1" * 64
# The service is a thread of the test, which takes long for a large file.
S3 = """
[core]
    remote = s3
['remote "s3"']
    url = s3://bucket/store
    read_timeout = 600
"""
# Their outputs persist, and DVC keeps no run-cache of such stages.
WITHOUT_RUN_CACHE = ["download", "plot", "export"]
SHORT = {"train__epochs": 1, "train__precision": "fp32", "gate__min_accuracy": 0.5}

pytestmark = pytest.mark.slow


@dataclass
class Job:
    """The results of a job."""

    folder: Path
    log: str
    failed: str | None  # the step that failed
    summary: str

    def ran(self, stage: str) -> bool:
        return f"Running stage '{stage}'" in self.log


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    """A repository with the pipeline on its main branch, and no results."""
    folder = tmp_path_factory.mktemp("origin")
    copy_code(folder)
    shutil.copytree(ROOT / "ci", folder / "ci", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "train.lock", folder)
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc")
    write_params(folder, **SHORT)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message=first")
    return folder


def clone(origin: Path, folder: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", origin, folder], check=True)
    return folder


def rehearse(folder: Path, remote: str, event: str = "push", **environment: str) -> Job:
    """Run the job's steps in a checkout, as its runner would."""
    page = folder.parent / f"{folder.name}.md"
    environment |= {
        "DVC_REMOTE_URL": remote,
        "MAX_ACCURACY_DROP": "0.005",
        "ALEXNET_IMAGE_DIGEST": IMAGE,
        "GITHUB_STEP_SUMMARY": str(page),
        "URL": "https://example.org",
    }
    conditions = {None: True, "always()": True, FRESH: event == "schedule"}
    log, failed = "", None
    for step in STEPS:
        condition = step.get("if")
        if not conditions[condition] or (failed and condition != "always()"):
            continue
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", step["run"]],
            cwd=folder,
            env=os.environ | ENVIRONMENT | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        log += f"### {step['name']}\n{done.stdout}\n"
        if done.returncode and failed is None:
            failed = step["name"]
    return Job(folder, log, failed, page.read_text())


@pytest.fixture(scope="module")
def first(origin, tmp_path_factory) -> Iterator[tuple[Job, Path]]:
    """The first job, which trains, and its remote."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "remote").mkdir()
    yield rehearse(clone(origin, folder / "job"), str(folder / "remote")), folder / "remote"
    shutil.rmtree(folder)


def objects(remote: Path) -> set[Path]:
    return {path for path in remote.rglob("*") if path.is_file()}


def digests(folder: Path) -> list[str]:
    """The bytes of a run's results."""
    names = ("models/weights.safetensors", "artifacts/manifest.json", "dvc.lock")
    return [(folder / name).read_bytes().hex() for name in names]


def test_the_first_job_trains_and_pushes_its_results(first):
    job, remote = first
    assert job.failed is None, job.log
    assert job.ran("train")
    assert "origin/main has no results yet to compare with" in job.log
    assert "- Gate: **passed**" in job.summary
    manifest = json.loads((job.folder / "artifacts/manifest.json").read_text())
    assert manifest["provenance"]["container_image"] == IMAGE
    assert manifest["provenance"]["revision"] == git(job.folder, "rev-parse", "HEAD")
    assert manifest["provenance"]["dirty"] is False
    kinds = {path.relative_to(remote).parts[0] for path in objects(remote)}
    assert kinds == {"files", "runs"}


def test_the_second_job_restores_what_takes_long_from_the_run_cache(first, origin, tmp_path):
    job, remote = first
    before = objects(remote)
    again = rehearse(clone(origin, tmp_path / "job"), str(remote))
    assert again.failed is None, again.log
    assert executed(again.log) == WITHOUT_RUN_CACHE
    assert "Stage 'train' is cached - skipping run" in again.log
    assert digests(again.folder) == digests(job.folder)
    assert objects(remote) == before


@pytest.fixture(scope="module")
def merged(first, origin, tmp_path_factory) -> Path:
    """The repository after the merge of the first job's proposal."""
    folder = clone(origin, tmp_path_factory.mktemp("merged") / "origin")
    shutil.copy(first[0].folder / "dvc.lock", folder)
    git(folder, "add", "dvc.lock")
    git(folder, "commit", "--quiet", "--message=results")
    return folder


def test_once_merged_nothing_changes_and_the_model_is_compared_with_itself(first, merged, tmp_path):
    job = rehearse(clone(merged, tmp_path / "job"), str(first[1]))
    assert job.failed is None, job.log
    assert "Data and pipelines are up to date." in job.log
    assert "- Comparison with origin/main: **passed**" in job.summary
    assert git(job.folder, "status", "--porcelain", "dvc.lock") == ""


def test_the_weekly_job_downloads_again_and_trains_only_if_the_data_changed(
    first, merged, tmp_path
):
    job = rehearse(clone(merged, tmp_path / "job"), str(first[1]), event="schedule")
    assert job.failed is None, job.log
    assert job.ran("download")
    assert not job.ran("preprocess")
    assert not job.ran("train")


def learning_nothing(folder: Path, **changes: object) -> None:
    """Set parameters of a training that learns nothing."""
    write_params(folder, **SHORT | {"train__learning_rate": 1e-9} | changes)


@pytest.fixture(scope="module")
def worse(first, merged, tmp_path_factory) -> Iterator[tuple[Job, Path]]:
    """A job with a model that has learned nothing, and its own remote."""
    folder = tmp_path_factory.mktemp("worse")
    shutil.copytree(first[1], folder / "remote")
    job = clone(merged, folder / "job")
    learning_nothing(job)
    yield rehearse(job, str(folder / "remote")), folder / "remote"
    shutil.rmtree(folder)


def test_a_worse_model_fails_the_gate(worse, first):
    job, remote = worse
    assert job.failed == "Run the pipeline with its gate", job.log
    assert job.ran("train")
    assert "error: gate: accuracy 0." in job.log
    assert "- Gate: **failed**" in job.summary
    assert not job.ran("export")
    assert "### Push the results" not in job.log
    assert len(objects(remote)) == len(objects(first[1])), "nothing is pushed"


def test_a_worse_model_that_passes_the_gate_fails_the_comparison(worse, first, merged, tmp_path):
    """Its training is in the cache of the job that failed the gate."""
    before, remote = worse
    folder = clone(merged, tmp_path / "job")
    shutil.copytree(before.folder / ".dvc/cache", folder / ".dvc/cache")
    learning_nothing(folder, gate__min_accuracy=0.0)
    job = rehearse(folder, str(remote))
    assert job.failed == "Compare with main", job.log
    assert not job.ran("train")
    assert "error: compare: accuracy 0." in job.log
    assert "a drop of 0." in job.log
    assert "- Comparison with origin/main: **failed**" in job.summary
    assert "### Push the results" not in job.log
    assert len(objects(remote)) == len(objects(first[1])), "nothing is pushed"


def test_the_same_with_a_remote_on_s3(first, origin, tmp_path):
    """In an S3 service on this machine; the first job's cache is reused."""
    server_module = pytest.importorskip("moto.server")
    pytest.importorskip("dvc_s3")
    import requests

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        requests.put(f"{address}/bucket", timeout=120).raise_for_status()
        s3 = {"AWS_ENDPOINT_URL": address, "AWS_DEFAULT_REGION": "us-east-1"}
        s3 |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        for number in ("one", "two"):
            folder = clone(origin, tmp_path / number)
            if number == "one":
                shutil.copytree(first[0].folder / ".dvc/cache", folder / ".dvc/cache")
            (folder / ".dvc/config.local").write_text(S3)
            job = rehearse(folder, "", **s3)
            assert job.failed is None, job.log
            assert executed(job.log) == WITHOUT_RUN_CACHE
            assert digests(job.folder) == digests(first[0].folder)
        assert "push: to the DVC remote s3 (s3://bucket/store)" in job.log
    finally:
        server.stop()
