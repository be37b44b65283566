"""Where a model comes from, as git or the environment says it."""

import os
import subprocess

import pytest

from alexnet.errors import UserError
from alexnet.export.provenance import installed_lock, provenance


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in ("ALEXNET_REVISION", "ALEXNET_IMAGE_DIGEST", "ALEXNET_LOCK_DIGEST"):
        monkeypatch.delenv(name, raising=False)


def git(folder, *arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "project"
    (folder / "alexnet").mkdir(parents=True)
    for name in ("params.yaml", "dvc.lock", "alexnet/network/model.py"):
        (folder / name).write_text("first\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_a_clean_tree(project):
    facts = provenance(project, {"weights": "f" * 64})
    assert facts["revision"] == git(project, "rev-parse", "HEAD")
    assert facts["dirty"] is False
    assert facts["container_image"] is None
    assert facts["sha256"] == {"weights": "f" * 64}
    assert {"alexnet", "python", "torch", "onnx", "onnxruntime"} <= set(facts["versions"])


@pytest.mark.parametrize(
    ("name", "dirty"),
    [
        ("params.yaml", True),
        ("alexnet/network/model.py", True),
        ("alexnet/new.py", True),
        ("dvc.lock", False),  # the run itself writes it
        ("notes.txt", False),
    ],
)
def test_what_makes_a_tree_dirty(project, name, dirty):
    (project / name).write_text("second\n")
    assert provenance(project, {})["dirty"] is dirty
    assert provenance(project / "alexnet", {})["dirty"] is dirty, "from a folder below too"


def test_without_git_nothing_is_made_up(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    facts = provenance(tmp_path, {})
    assert (facts["revision"], facts["dirty"]) == (None, None)


@pytest.mark.parametrize("suffix", ["", "-dirty"])
def test_in_a_container_the_environment_says_it(tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("ALEXNET_REVISION", "a" * 40 + suffix)
    monkeypatch.setenv("ALEXNET_IMAGE_DIGEST", "sha256:" + "b" * 64)
    facts = provenance(tmp_path, {})
    assert (facts["revision"], facts["dirty"]) == ("a" * 40, bool(suffix))
    assert facts["container_image"] == "sha256:" + "b" * 64


def test_what_git_says_of_the_project_holds_against_what_its_image_was_built_from(
    project, monkeypatch
):
    monkeypatch.setenv("ALEXNET_REVISION", "a" * 40)
    assert provenance(project, {})["revision"] == git(project, "rev-parse", "HEAD")


def test_what_is_installed_is_pinned_by_the_lock_or_by_the_images(tmp_path, monkeypatch):
    lock = tmp_path / "requirements.lock"
    assert installed_lock(lock) is None
    lock.write_bytes(b"abc")  # its digest is the example of FIPS 180-2
    assert installed_lock(lock) == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
    monkeypatch.setenv("ALEXNET_LOCK_DIGEST", "c" * 64)
    assert installed_lock(lock) == "c" * 64
    monkeypatch.setenv("ALEXNET_LOCK_DIGEST", "latest")
    with pytest.raises(UserError, match="ALEXNET_LOCK_DIGEST is 'latest'; it should be the SHA"):
        installed_lock(lock)


@pytest.mark.parametrize("name", ["ALEXNET_REVISION", "ALEXNET_IMAGE_DIGEST"])
def test_an_environment_that_says_something_else(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "/home/someone")
    with pytest.raises(UserError, match=f"{name} is '/home/someone'; it should be"):
        provenance(tmp_path, {})


def test_no_path_and_no_name_of_a_machine(project):
    text = str(provenance(project, {}))
    assert str(project) not in text
    assert os.uname().nodename not in text
