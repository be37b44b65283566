"""The training job in a container, as GitHub's runner creates it, runs its steps and cancels it.

REHEARSAL_NETWORK names another network than the host's. Podman needs catatonit for `--init`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ci.rehearsal import (
    PIPELINE,
    SHORT,
    WITHOUT_RUN_CACHE,
    Job,
    clone,
    in_container,
    make_origin,
    merge,
    new_volume,
    objects,
    rehearse,
    remove_volume,
)
from tests.ci.s3 import s3_service
from tests.conftest import write_params
from tests.engines import TRAIN_IMAGE, needs
from tests.stages.projects import executed

pytestmark = [*needs(TRAIN_IMAGE), pytest.mark.timeout(3000)]
EPOCHS = 4
LONGER = {"train__epochs": EPOCHS, "train__batch_size": 256}  # long enough to be cancelled in


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    return make_origin(tmp_path_factory.mktemp("origin") / "origin", **LONGER)


@pytest.fixture
def volume() -> Iterator[str]:
    name = new_volume()
    yield name
    remove_volume(name)


def job_in_container(folder: Path, remote: Path | str, volume: str, **arguments: object) -> Job:
    mounts = [remote] if isinstance(remote, Path) else []
    with in_container(folder, volume, *mounts) as runner:
        return rehearse(folder, str(remote), runner=runner, **arguments)


@pytest.fixture(scope="module")
def machine() -> Iterator[str]:
    """The volume of the first job."""
    name = new_volume()
    yield name
    remove_volume(name)


@pytest.fixture(scope="module")
def first(origin, machine, tmp_path_factory) -> Iterator[tuple[Job, Path]]:
    """A job that nobody disturbs, and its remote."""
    folder = tmp_path_factory.mktemp("first")
    (folder / "remote").mkdir()
    job = job_in_container(clone(origin, folder / "job"), folder / "remote", machine)
    yield job, folder / "remote"
    shutil.rmtree(folder)


@pytest.fixture
def remote(first, tmp_path) -> Path:
    """A remote of a test's own, like the first job's."""
    return shutil.copytree(first[1], tmp_path / "remote")


@pytest.fixture(scope="module")
def merged(first, origin, tmp_path_factory) -> Path:
    return merge(origin, first[0], tmp_path_factory.mktemp("merged") / "origin")


def test_the_first_job_trains_and_pushes(first):
    job, remote = first
    print(job.log)
    assert job.failed is None, job.log
    assert job.ran("train")
    assert "stop: DVC does not run here" in job.log
    assert "- Gate: **passed**" in job.summary
    assert {path.relative_to(remote).parts[0] for path in objects(remote)} == {"files", "runs"}


def test_the_second_job_restores_what_takes_long(first, origin, remote, volume, tmp_path):
    """On another machine, whose volume is empty. The variables of an identity change nothing."""
    identity = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": "https://token.invalid/x",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t",
    }
    job = job_in_container(clone(origin, tmp_path / "job"), remote, volume, **identity)
    print(job.log)
    assert job.failed is None, job.log
    assert executed(job.log) == WITHOUT_RUN_CACHE
    assert job.weights() == first[0].weights()


def test_a_cancelled_job_stops_after_a_checkpoint_and_the_next_resumes(
    first, origin, volume, tmp_path
):
    (tmp_path / "remote").mkdir()
    job = job_in_container(
        clone(origin, tmp_path / "cancelled"),
        tmp_path / "remote",
        volume,
        cancel=lambda output: f"epoch 1/{EPOCHS}" in output,
    )
    print(job.log)
    assert job.failed == PIPELINE
    assert "processes ended after" in job.log
    assert "stop: the next run resumes after step" in job.log
    assert not objects(tmp_path / "remote")
    job = job_in_container(clone(origin, tmp_path / "next"), tmp_path / "remote", volume)
    print(job.log)
    assert job.failed is None, job.log
    assert "resum" in job.log
    assert f"epoch 1/{EPOCHS}" not in job.log
    assert job.weights() == first[0].weights()


def test_a_half_pushed_remote(first, merged, remote, volume, tmp_path):
    gone = [path for path in objects(remote) if path.read_bytes() == first[0].weights()]
    labels = (first[0].folder / "artifacts/labels.json").read_bytes()
    gone += [path for path in objects(remote) if path.read_bytes() == labels]
    for path in gone:
        path.unlink()
    job = job_in_container(clone(merged, tmp_path / "job"), remote, volume)
    print(job.log)
    assert job.failed is None, job.log
    assert "warning: pull: neither the remote nor this machine has" in job.log
    assert job.weights() == first[0].weights()
    assert all(path.exists() for path in gone)


def test_a_worse_model_is_not_pushed(first, merged, remote, volume, tmp_path):
    folder = clone(merged, tmp_path / "job")
    write_params(
        folder,
        **SHORT | {"train__epochs": 1, "train__learning_rate": 1e-9, "gate__min_accuracy": 0.0},
    )
    before = objects(remote)
    job = job_in_container(folder, remote, volume)
    print(job.log)
    assert job.failed == "Compare with main", job.log
    assert "error: compare: accuracy 0." in job.log
    assert objects(remote) == before


def test_a_store_that_speaks_s3(first, origin, machine, volume, tmp_path):
    """With a session token. The first job has its training on the volume."""
    with s3_service() as s3:
        keys = s3 | {"AWS_SESSION_TOKEN": "c"}
        for number, state in (("one", machine), ("two", volume)):
            folder = clone(origin, tmp_path / number)
            job = job_in_container(folder, "s3://bucket/store", state, **keys)
            print(job.log)
            assert job.failed is None, job.log
        assert executed(job.log) == WITHOUT_RUN_CACHE
        assert "push: to the DVC remote ci (s3://bucket/store)" in job.log
        assert job.weights() == first[0].weights()
