"""The model registry: a version is a git tag, and a clone can fetch its artifact."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from alexnet.inference.verification import verify
from tests.artifacts import export_small
from tests.conftest import ROOT
from tests.stages.projects import call, commit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A repository with the artifacts section of dvc.yaml and one version of the artifact.

    Its only stage is the last one, and its network is a narrow one.
    """
    project = tmp_path_factory.mktemp("published") / "project"
    project.mkdir()
    pipeline = YAML(typ="safe").load(ROOT / "dvc.yaml")
    ours = {
        "stages": {"export": {"cmd": "true", "outs": pipeline["stages"]["export"]["outs"]}},
        "artifacts": pipeline["artifacts"],
    }
    YAML().dump(ours, project / "dvc.yaml")
    shutil.copy(ROOT / ".gitignore", project)
    export_small(project / "artifacts")
    call(project, "git", "init", "--quiet", "--initial-branch=main")
    call(project, "dvc", "init", "--quiet")
    call(project, "dvc", "commit", "--quiet", "--force")
    call(project, "dvc", "remote", "add", "--default", "storage", str(project.parent / "storage"))
    call(project, "dvc", "push", "--quiet")
    commit(project)
    call(project, "gto", "register", "alexnet", "--version", "v1.0.0")
    call(project, "gto", "assign", "alexnet", "--version", "v1.0.0", "--stage", "production")
    return project


@pytest.mark.parametrize("rev", [["--rev", "v1.0.0"], ["--stage", "production"], []])
def test_a_receiver_gets_the_folder_of_a_version(published, tmp_path, rev):
    clone = tmp_path / "clone"
    call(tmp_path, "git", "clone", "--quiet", str(published), str(clone))
    assert not (clone / "artifacts").exists()
    call(tmp_path, "dvc", "artifacts", "get", str(clone), "alexnet", *rev, "--out", "received")
    verify(tmp_path / "received")
    for path in (published / "artifacts").rglob("*"):
        if path.is_file():
            copy = tmp_path / "received" / path.relative_to(published / "artifacts")
            assert copy.read_bytes() == path.read_bytes()


def test_the_registry_shows_it(published):
    shown = call(published, "gto", "show", "alexnet").stdout
    assert "v1.0.0" in shown
    assert "production" in shown
