"""A project of links in the image: its cache, a folder on another disk, git's folder elsewhere.

`pytest -m container -n 0`.
"""

import sys
from pathlib import Path

import pytest

from tests.conftest import write_params
from tests.engines import ENGINE, TRAIN_IMAGE, needs
from tests.stages.attempts import SMALL, TRAIN
from tests.stages.projects import call, commit, copy_code

pytestmark = needs(TRAIN_IMAGE)
SHORT = SMALL | TRAIN | {"train__epochs": 1, "train__batch_size": 120}
WEIGHTS = "models/weights.safetensors"


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A worktree, whose name has what parts an engine's options, up to date after training."""
    folder = tmp_path_factory.mktemp("links")
    for name in ("cache", "disk"):
        (folder / name).mkdir()
    main, project = folder / "main", folder / "a project, with: signs"
    copy_code(main)
    with (main / ".dvc/config").open("a") as config:
        config.write(f"[cache]\n    type = symlink\n    dir = {folder}/cache\n")
    call(main, "git", "init", "--quiet")
    commit(main)
    call(main, "git", "worktree", "add", "--quiet", "--detach", project)
    write_params(project, **SHORT)
    (project / "data").symlink_to(folder / "disk")
    environment = {"STAGE_RUNTIME": ENGINE, "OMP_NUM_THREADS": "2"}
    done = call(project, "dvc", "repro", "train", **environment)
    assert f"train: in {ENGINE}\n" in done.stdout + done.stderr
    assert "cpu (2 threads)" in done.stdout
    return project


def in_container(project: Path, *command: str) -> str:
    """What a command prints in a container of the project."""
    line = (sys.executable, "-S", "-m", "stages.runtime.container", *command)
    return call(project, *line, STAGE_RUNTIME=ENGINE).stdout


def test_stages_read_and_write_through_links(project):
    """Preprocess has read the download, train what preprocess wrote, from the cache."""
    cache, disk = project.parent / "cache", project.parent / "disk"
    for name in ("processed/train.safetensors", "raw/source.json"):
        assert (disk / name).readlink().is_relative_to(cache)
        assert (project / "data" / name).is_file()
    assert (project / WEIGHTS).readlink().is_relative_to(cache)


def test_dvc_in_a_container_makes_links_that_hold_on_both_sides(project):
    assert "up to date" in in_container(project, "dvc", "repro", "train")
    before = (project / WEIGHTS).read_bytes()
    (project / WEIGHTS).unlink()
    in_container(project, "dvc", "checkout", WEIGHTS)
    assert (project / WEIGHTS).is_symlink()
    assert (project / WEIGHTS).read_bytes() == before
    assert "up to date" in call(project, "dvc", "repro", "train", STAGE_RUNTIME="host").stdout


def test_the_revision_of_a_worktree_is_known_in_the_container(project):
    revision = call(project, "git", "rev-parse", "HEAD").stdout
    program = "from alexnet.export.provenance import provenance as p; print(p('.', {})['revision'])"
    assert in_container(project, "python", "-c", program) == revision
