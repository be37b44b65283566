"""The DVC remote of a job, and the errors if it cannot be used."""

import os
import subprocess
import sys

import pytest

from alexnet.errors import UserError
from ci.remote import find_remote
from tests.conftest import ROOT


def call(command: str, folder, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"ci.{command}"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
    )


def test_the_default_remote(project):
    assert find_remote() == f"the DVC remote store ({project.parent / 'remote'})"


def test_no_remote(project):
    (project / ".dvc/config").write_text("[core]\n    analytics = false\n")
    with pytest.raises(UserError, match=r"no DVC remote is set; name one with `dvc remote add"):
        find_remote()


def test_the_environment_names_a_remote(project, monkeypatch):
    other = project.parent / "other"
    other.mkdir()
    monkeypatch.setenv("DVC_REMOTE_URL", str(other))
    assert find_remote() == f"the DVC remote ci ({other})"
    assert "ci" not in (project / ".dvc/config").read_text(), "no tracked file changes"


def test_a_password_in_the_address_is_refused_and_not_shown(project):
    done = call("pull", project, DVC_REMOTE_URL="ssh://bob:SECRET@host.invalid:22/store")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: DVC_REMOTE_URL has a password in it, which would be in ")
    assert "SECRET" not in done.stderr
    assert not (project / ".dvc/config.local").exists()


def test_a_password_in_the_committed_address_is_refused_too(project):
    (project / ".dvc/config").write_text(
        "[core]\n    remote = store\n['remote \"store\"']\n    url = ssh://bob:SECRET@host.invalid/s\n"
    )
    with pytest.raises(UserError, match=r"^the address of the DVC remote store has a password in"):
        find_remote()


def test_a_missing_folder_is_not_an_empty_remote(project):
    (project.parent / "remote").rmdir()
    done = call("pull", project)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: the DVC remote store is in {project.parent / 'remote'}, which is no folder "
        "here; mount it, or make it if the remote is to be a new one\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", ["pull", "push"])
def test_a_remote_that_does_not_answer_is_an_error(command, on_main, here):
    pytest.importorskip("dvc_s3")
    project = on_main(0.9)
    here(0.9)
    address = {"DVC_REMOTE_URL": "s3://bucket/store", "COMPARE_WITH": "main~1"}
    address |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    address |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    done = call(command, project, **address)
    assert done.returncode == 1
    verb = {"pull": "read", "push": "written"}[command]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error")]
    assert line.startswith(
        f"error: the DVC remote ci (s3://bucket/store) cannot be {verb}; check its address, "
        "the network and the credentials."
    )
    assert "Could not connect to the endpoint URL" in line
    assert "Traceback" not in done.stderr
