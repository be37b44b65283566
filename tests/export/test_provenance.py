"""The provenance of a model, from git or from the environment."""

import os
import subprocess

import pytest

from alexnet.errors import UserError
from alexnet.export.provenance import installed_lock, provenance


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    for name in ("REVISION", "IMAGE_DIGEST", "LOCK_DIGEST", "BUILDER"):
        monkeypatch.delenv(f"ALEXNET_{name}", raising=False)


def git(folder, *arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "project"
    (folder / "alexnet" / "network").mkdir(parents=True)
    for name in ("params.yaml", "dvc.lock", "alexnet/network/model.py"):
        (folder / name).write_text("first\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_a_clean_working_tree(project):
    values = provenance(project, {"weights": "f" * 64})
    assert values["revision"] == git(project, "rev-parse", "HEAD")
    assert values["dirty"] is False
    assert values["container_image"] is None
    assert values["sha256"] == {"weights": "f" * 64}
    assert {"alexnet", "python", "torch", "onnx", "onnxruntime"} <= set(values["versions"])
    assert str(project) not in str(values), "no path and no host name"
    assert os.uname().nodename not in str(values)


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
def test_changes_that_make_it_dirty(project, name, dirty):
    (project / name).write_text("second\n")
    assert provenance(project, {})["dirty"] is dirty
    assert provenance(project / "alexnet", {})["dirty"] is dirty, "from a folder below too"


def test_without_git_the_revision_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    values = provenance(tmp_path, {})
    assert (values["revision"], values["dirty"]) == (None, None)


@pytest.mark.parametrize("suffix", ["", "-dirty"])
def test_in_a_container_it_comes_from_the_environment(tmp_path, monkeypatch, suffix):
    monkeypatch.setenv("ALEXNET_REVISION", "a" * 40 + suffix)
    monkeypatch.setenv("ALEXNET_IMAGE_DIGEST", "sha256:" + "b" * 64)
    values = provenance(tmp_path, {})
    assert (values["revision"], values["dirty"]) == ("a" * 40, bool(suffix))
    assert values["container_image"] == "sha256:" + "b" * 64
    assert values["builder"] is None
    monkeypatch.setenv("ALEXNET_BUILDER", "https://github.com/a/b/.github/workflows/c.yml@d")
    assert provenance(tmp_path, {})["builder"].endswith("/c.yml@d")


def test_git_takes_precedence_over_the_environment(project, monkeypatch):
    monkeypatch.setenv("ALEXNET_REVISION", "a" * 40)
    assert provenance(project, {})["revision"] == git(project, "rev-parse", "HEAD")


def test_digest_of_the_lock_file_or_of_the_images(tmp_path, monkeypatch):
    lock = tmp_path / "train.lock"
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


@pytest.mark.parametrize("name", ["ALEXNET_REVISION", "ALEXNET_IMAGE_DIGEST", "ALEXNET_BUILDER"])
def test_a_variable_of_the_wrong_form(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "/home/someone")
    with pytest.raises(UserError, match=f"{name} is '/home/someone'; it should be"):
        provenance(tmp_path, {})
