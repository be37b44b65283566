""".gitlab-ci.yml: the commands of GitHub's job, and its jobs as a runner would run them."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from string import Template

import pytest
from ruamel.yaml import YAML

from tests.ci.conftest import git
from tests.ci.rehearsal import TRAIN, clone, make_origin
from tests.conftest import ROOT
from tests.stages.attempts import RESUMING
from tests.stages.projects import ENVIRONMENT

PIPELINE = YAML(typ="safe").load(ROOT / ".gitlab-ci.yml")
IMAGE = "registry.example.org/group/alexnet@sha256:" + "1" * 64
PROJECT = "https://gitlab.example.org/group/alexnet"


def job(name: str) -> dict:
    """A job with what it extends."""
    own = PIPELINE[name]
    extended = own.get("extends", [])
    merged: dict = {}
    for part in [*map(job, [extended] if isinstance(extended, str) else extended), own]:
        variables = merged.get("variables", {}) | part.get("variables", {})
        merged |= part | {"variables": variables}
    return merged


def lines(*parts: str, of: str) -> str:
    return "\n".join(line for part in parts for line in job(of).get(part, []))


def test_the_job_runs_the_commands_of_githubs():
    """All but what goes to GitHub's own page and files."""
    own = lines("script", "after_script", of="retrain")
    commands = [
        line.split(" >")[0]
        for step in TRAIN["steps"]
        for line in step.get("run", "").splitlines()
        if line.startswith(("python ", "dvc ", "rm "))
    ]
    assert len(commands) > 6
    assert [command for command in commands if command not in own] == []
    script = lines("script", of="retrain")
    places = [script.find(command) for command in commands if command in script]
    assert places == sorted(places)
    assert job("retrain")["variables"].keys() >= {
        name for name, value in TRAIN["env"].items() if "/var/lib/alexnet" in str(value)
    }


def test_it_starts_for_the_changes_that_start_githubs():
    """GitLab's `**` stands for folders alone, and its list has no exclamation marks."""
    retrain = YAML(typ="safe").load(ROOT / ".github/workflows/retrain.yml")
    locks = [name[:-5] for name in git(ROOT, "ls-files", "*.lock").split() if name != "dvc.lock"]
    assert job("build")["rules"][2]["changes"] == [
        path.replace("/**", "/**/*")
        .replace("**.", "**/*.")
        .replace("*.lock", f"{{{','.join(locks)}}}.lock")
        for path in retrain["on"]["push"]["paths"]
        if path != "!dvc.lock"
    ]


def test_the_training_job_never_has_the_token_that_pushes():
    scoped = {name for name in PIPELINE if "environment" in PIPELINE[name]}
    assert scoped == {"may-propose", "propose"}
    assert PIPELINE["may-propose"]["stage"] == PIPELINE["stages"][0]
    assert "PROJECT_TOKEN" not in str(job("retrain"))


def test_the_key_is_removed_and_the_summary_written_whatever_stop_says(tmp_path):
    """A stand-in for Python fails as ci.stop, and writes a line as ci.summary."""
    (tmp_path / "python").write_text('#!/bin/sh\n[ "$2" = ci.summary ] && echo summary\n')
    (tmp_path / "python").chmod(0o755)
    key = tmp_path / ".dvc/tmp/ssh_key"
    key.parent.mkdir(parents=True)
    key.touch()
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    run("retrain", "after_script", folder=tmp_path, given=path).communicate()
    assert not key.exists()
    assert (tmp_path / "summary.md").read_text() == "summary\n"


def test_no_secret_is_named_where_a_merge_request_runs():
    text = str(job("try"))
    assert "TOKEN" not in text
    assert "AWS" not in text
    assert "/var/lib" not in text
    assert job("try")["tags"] != job("retrain")["tags"]


def environment(name: str, given: dict[str, str]) -> dict[str, str]:
    """The variables of a job, one inside another, as a runner expands them."""
    values = {key: str(value) for key, value in job(name)["variables"].items()} | given
    for _ in range(3):
        values = {key: Template(text).safe_substitute(values) for key, text in values.items()}
    return os.environ | ENVIRONMENT | values


def run(name: str, *parts: str, folder: Path, given: dict[str, str]) -> subprocess.Popen[str]:
    """Start parts of a job in a checkout: one shell runs them all, up to the first that fails."""
    return subprocess.Popen(
        ["bash", "-eo", "pipefail", "-c", lines(*parts, of=name)],
        cwd=folder,
        env=environment(name, given),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture
def server(tmp_path) -> Path:
    """A repository that takes push options, and writes those of the latest push into a file."""
    bare = tmp_path / "gitlab.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(bare, "config", "receive.advertisePushOptions", "true")
    hook = bare / "hooks/post-receive"
    hook.write_text('#!/bin/sh\nenv | sed -n "s/^GIT_PUSH_OPTION_[0-9]*=//p" >push-options\n')
    hook.chmod(0o755)
    return bare


@pytest.fixture
def variables(server) -> dict[str, str]:
    """Those of GitLab; git finds the project's address on this machine."""
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{server}.insteadOf",
        "GIT_CONFIG_VALUE_0": f"{PROJECT}.git",
        "CI_DEFAULT_BRANCH": "main",
        "CI_PIPELINE_URL": f"{PROJECT}/-/pipelines/1",
        "CI_PROJECT_URL": PROJECT,
        "PROJECT_TOKEN": "secret",
    }


@pytest.fixture
def propose(server, variables, tmp_path) -> Callable[[str | None], str]:
    """Propose a dvc.lock from a fresh checkout of main, or check; returns what was printed."""
    work = tmp_path / "work"
    git(tmp_path, "clone", "--quiet", str(server), str(work))
    shutil.copytree(ROOT / "ci", work / "ci")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "--message=first")
    git(work, "push", "--quiet", "origin", "HEAD:main")

    def propose(lock: str | None, **changes: str) -> str:
        git(work, "checkout", "--quiet", "--force", "-B", "main", "origin/main")
        if lock is not None:
            (work / "dvc.lock").write_text(lock)
        (work / "summary.md").write_text("# Retraining\n\n| accuracy |\n|---|\n| 0.9 |\n")
        done = subprocess.run(
            ["ci/merge_request.sh", *(("dvc.lock", "summary.md") if lock else ())],
            cwd=work,
            env=os.environ | variables | changes,
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr

    return propose


def test_results_are_proposed_by_a_merge_request_which_the_next_ones_update(propose, server):
    for lock in ("a: 1\n", "a: 2\n"):
        printed = propose(lock)
        assert git(server, "show", "retrain:dvc.lock") == lock.strip(), printed
        assert git(server, "rev-list", "--count", "main..retrain") == "1"
        assert "| accuracy |\n|---|\n| 0.9 |" in git(server, "log", "-1", "--format=%B", "retrain")
        options = (server / "push-options").read_text().splitlines()
        assert "merge_request.create" in options
        assert "merge_request.target=main" in options
        revision = git(server, "rev-parse", "--short", "main")
        assert f"merge_request.title=Results of training at {revision}" in options
        assert "secret" not in printed


def test_a_persons_commit_on_the_branch_is_kept(propose, server, tmp_path):
    propose("a: 1\n")
    person = clone(server, tmp_path / "person")
    git(person, "checkout", "--quiet", "retrain")
    git(person, "commit", "--quiet", "--allow-empty", "--message=by hand")
    git(person, "push", "--quiet", "origin", "retrain")
    for printed in (propose("a: 2\n"), propose(None)):
        assert "has commits that are not this job's" in printed
        assert "by hand" in printed
        assert git(server, "show", "retrain:dvc.lock") == "a: 1"
    git(server, "branch", "--move", "retrain", "theirs")
    assert propose(None) == ""
    propose("a: 2\n")
    assert git(server, "show", "retrain:dvc.lock") == "a: 2"


def test_an_unchanged_lock_is_not_proposed(propose, server):
    propose("a: 1\n")
    git(server, "update-ref", "refs/heads/main", "retrain")
    git(server.parent / "work", "fetch", "--quiet")
    (server / "push-options").unlink()
    assert "there is nothing to propose" in propose("a: 1\n")
    assert not (server / "push-options").exists()


def test_without_a_token_nothing_starts(propose):
    assert "PROJECT_TOKEN: set it to a project access token" in propose(None, PROJECT_TOKEN="")


def cancel(job: subprocess.Popen[str]) -> None:
    """SIGTERM to every process of the job, the latest first, as GitLab's runner sends it."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "-s", str(job.pid)], capture_output=True, text=True
    )
    for pid in sorted(map(int, listed.stdout.split()), reverse=True):
        try:
            os.kill(pid, signal.SIGTERM)
            for _ in range(6):
                time.sleep(1)
                os.kill(pid, 0)
        except ProcessLookupError:
            continue


@pytest.mark.slow
def test_a_job_that_is_cancelled_and_its_next_run(server, variables, tmp_path):
    """The second job resumes from the first one's checkpoint, and proposes its results."""
    origin = make_origin(tmp_path / "origin")
    git(origin, "push", "--quiet", str(server), "main")
    (tmp_path / "remote").mkdir()
    given = variables | {
        "DVC_REMOTE_URL": str(tmp_path / "remote"),
        "KEPT": str(tmp_path / "kept"),
        "image": IMAGE,
        "CI_PIPELINE_SOURCE": "web",
        "CI_COMMIT_REF_NAME": "main",
    }
    parts = ("retrain", "before_script", "script")

    first = clone(server, tmp_path / "first")
    started = run(*parts, folder=first, given=given)
    log = ""
    for line in started.stdout:
        log += line
        if "initial loss" in line:
            break
    cancel(started)
    log += started.communicate()[0]
    assert started.returncode != 0, log
    assert any((tmp_path / "kept/checkpoints").rglob("step-*.safetensors")), log
    assert not (first / "models").exists() or not list((first / "models").iterdir())

    second = clone(server, tmp_path / "second")
    started = run(*parts, folder=second, given=given)
    log = started.communicate()[0]
    assert started.returncode == 0, log
    assert RESUMING in log
    assert "push: to" in log
    started = run("retrain", "after_script", folder=second, given=given)
    started.communicate()
    assert "- Gate: **passed**" in (second / "summary.md").read_text()
    proposal = clone(server, tmp_path / "proposal")
    for artifact in ("dvc.lock", "summary.md"):
        shutil.copy(second / artifact, proposal)
    started = run("propose", "script", folder=proposal, given=given)
    assert started.communicate()[1] is None
    assert git(server, "show", "retrain:dvc.lock") == (second / "dvc.lock").read_text().strip()
