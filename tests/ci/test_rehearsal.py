"""The steps of the training job, from the workflow's file, in clones of a project."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.runtime.dvc_files import parse_lock
from tests.ci.conftest import git
from tests.ci.rehearsal import (
    IMAGE,
    PIPELINE,
    SHORT,
    WITHOUT_RUN_CACHE,
    Job,
    clone,
    digests,
    make_origin,
    merge,
    objects,
    rehearse,
)
from tests.ci.s3 import s3_service
from tests.conftest import write_params
from tests.stages.projects import executed

# The service is a thread of the test, which takes long for a large file.
S3 = """
[core]
    remote = s3
['remote "s3"']
    url = s3://bucket/store
    read_timeout = 600
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    return make_origin(tmp_path_factory.mktemp("origin") / "origin")


@pytest.fixture(scope="module")
def first(origin, tmp_path_factory) -> Iterator[tuple[Job, Path]]:
    """The first job, which trains, and its remote."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "remote").mkdir()
    yield rehearse(clone(origin, folder / "job"), str(folder / "remote")), folder / "remote"
    shutil.rmtree(folder)


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
    return merge(origin, first[0], tmp_path_factory.mktemp("merged") / "origin")


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


def object_of(remote: Path, lock: str, path: str) -> Path:
    """The object on a remote of an output in dvc.lock, or of a file in such a folder."""
    for folder, _, inside in ((path, "", ""), path.partition("/")):
        lines = lock.splitlines()
        names = [index for index, line in enumerate(lines) if line.endswith(f"- path: {folder}")]
        if not names:
            continue
        md5 = lines[names[-1] + 2].split()[-1]
        if inside:
            entries = json.loads((remote / "files/md5" / md5[:2] / md5[2:]).read_text())
            md5 = next(entry["md5"] for entry in entries if entry["relpath"] == inside)
        return remote / "files/md5" / md5[:2] / md5[2:]
    raise AssertionError(path)


@pytest.fixture
def half(first, merged, tmp_path) -> tuple[Path, str]:
    """A remote of one's own like the first job's, and dvc.lock on main."""
    shutil.copytree(first[1], tmp_path / "remote")
    return tmp_path / "remote", (merged / "dvc.lock").read_text()


def test_what_a_half_pushed_remote_lacks_is_made_again_and_pushed(first, merged, half, tmp_path):
    """A file; a folder's listing; one file of a folder; the data as received."""
    remote, lock = half
    lost = ["models/weights.safetensors", "reports/figures", "artifacts/labels.json"]
    gone = [object_of(remote, lock, path) for path in (*lost, "data/raw/files")]
    for path in gone:
        path.unlink()
    job = rehearse(clone(merged, tmp_path / "job"), str(remote))
    assert job.failed is None, job.log
    assert "warning: pull: neither the remote nor this machine has data/raw/files, " in job.log
    assert "made again by: download, train, plot, export\n" in job.log
    assert executed(job.log) == ["download", "train", "plot", "export"]
    assert job.weights() == first[0].weights()
    assert all(path.exists() for path in gone if not path.name.endswith(".dir"))
    again = clone(merged, tmp_path / "again")
    shutil.copy(job.folder / "dvc.lock", again)
    pulled = rehearse(again, str(remote))
    assert "warning: pull" not in pulled.log
    assert executed(pulled.log) == []


def test_another_model_is_not_blocked_by_lost_metrics_of_main(merged, half, tmp_path):
    remote, lock = half
    object_of(remote, lock, "reports/evaluate/metrics.json").unlink()
    folder = clone(merged, tmp_path / "job")
    write_params(folder, **SHORT | {"train__seed": 1})
    job = rehearse(folder, str(remote))
    assert job.failed is None, job.log
    assert "warning: pull: neither the remote nor this machine has reports/evaluate/met" in job.log
    assert "warning: compare: the metrics of origin/main are lost" in job.log
    assert "- Comparison with origin/main: **none was made**, its metrics are lost" in job.summary
    assert "push: to the DVC remote" in job.log


def test_what_the_run_cache_has_lost_runs_again(first, origin, half, tmp_path):
    """One of its objects, and one of its entries; no dvc.lock names them yet."""
    remote, lock = half
    object_of(remote, lock, "data/processed/val.safetensors").unlink()
    runs = [path for path in (remote / "runs").rglob("*") if path.is_file()]
    (entry,) = [path for path in runs if "runner evaluate" in path.read_text()]
    entry.unlink()
    job = rehearse(clone(origin, tmp_path / "job"), str(remote))
    assert job.failed is None, job.log
    assert set(executed(job.log)) == {"preprocess", "evaluate", *WITHOUT_RUN_CACHE}
    assert job.weights() == first[0].weights()
    assert entry.exists()


def test_a_changed_image_trains_again_once(first, merged, half, tmp_path):
    """The same weights: what is new is the revision in the manifest, which the next job finds."""
    folder = clone(merged, tmp_path / "job")
    with (folder / "Dockerfile").open("a") as file:
        file.write("# a newer base\n")
    git(folder, "commit", "--quiet", "--all", "--message=newer")
    job = rehearse(folder, str(half[0]))
    assert job.failed is None, job.log
    assert executed(job.log.partition(f"### {PIPELINE}")[0]) == ["train"]
    assert executed(job.log.partition(f"### {PIPELINE}")[2]) == ["export"]
    assert "Dockerfile; train runs again" in job.log
    assert job.weights() == first[0].weights()
    before, after = (
        parse_lock(git(folder, "show", "HEAD:dvc.lock")),
        parse_lock((folder / "dvc.lock").read_bytes()),
    )
    assert {name for name, stage in after.items() if stage != before[name]} == {"export"}
    git(folder, "commit", "--quiet", "--all", "--message=merged")
    again = rehearse(clone(folder, tmp_path / "again"), str(half[0]))
    assert again.failed is None, again.log
    assert executed(again.log) == []
    assert "ci/image are those of" in again.log


def test_a_pull_request_trains_without_a_remote_and_pushes_nothing(origin, tmp_path):
    job = rehearse(clone(origin, tmp_path / "job"), "ssh://nowhere.invalid/x", is_trusted=False)
    assert job.failed is None, job.log
    assert job.ran("train")
    assert "- Gate: **passed**" in job.summary
    assert "- Comparison: none was made" in job.summary
    assert not any(word in job.log for word in ("pull:", "push:", "compare:"))


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
    assert job.failed == "Require the gate", job.log
    assert job.ran("train")
    assert "error: the model did not pass the gate (reports/gate.json: accuracy 0." in job.log
    assert "- Gate: **failed**" in job.summary
    assert "artifacts/NOT_EXPORTED.txt in its place" in job.log
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
    with s3_service() as s3:
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
