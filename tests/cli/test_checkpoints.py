"""`alexnet checkpoints` lists and removes, without PyTorch."""

import json
import os

import pytest

from alexnet.training.checkpoint import Checkpoints
from tests.training.test_checkpoint import state


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """An interrupted run that is 10 days old, a complete one, a running one; a foreign folder."""
    monkeypatch.setenv("ALEXNET_CHECKPOINTS", str(tmp_path / "root"))
    names = ("interrupted", "complete", "running")
    runs = {name: Checkpoints(tmp_path / "root", {"of": name}, num_steps=180) for name in names}
    for run in runs.values():
        run.save(state(120))
    runs["complete"].save(state(180), is_final=True)
    (tmp_path / "weights").touch()
    runs["complete"].mark_complete(tmp_path / "weights")
    for name in ("interrupted", "complete"):
        runs[name].close()
    (path,) = runs["interrupted"].folder.glob("step-*.safetensors")
    os.utime(path, (path.stat().st_mtime - 10 * 86400,) * 2)
    (tmp_path / "root/mine").mkdir()
    yield {name: run.folder for name, run in runs.items()}
    runs["running"].close()


def test_all_are_listed_without_pytorch(run, runs, tmp_path):
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    done = run("checkpoints", fresh=True)
    assert done.returncode == 0, done.stderr
    *lines, total = done.stdout.splitlines()
    assert sorted(" ".join(line.split()[:6]) for line in lines) == sorted(
        f"{folder.name} {name} at step {180 if name == 'complete' else 120} of"
        for name, folder in runs.items()
    )
    assert "240 h ago" in lines[-1], "the oldest comes last"
    assert total.startswith(f"3 in {tmp_path / 'root'}, ")
    assert done.stderr.startswith(f"warning: {tmp_path / 'root/mine'} is left alone")


@pytest.mark.parametrize(
    ("options", "removed"),
    [
        (["--prune"], {"interrupted", "complete"}),
        (["--prune", "--older-than", 9.5], {"interrupted"}),
        (["--prune", "--older-than", 10.5], set()),
        (["--older-than", 1], set()),
    ],
)
def test_what_is_removed_is_named_and_a_running_training_keeps_its_own(
    run, runs, options, removed, tmp_path
):
    done = run("checkpoints", *options, "--json")
    listed = {row["folder"] for row in json.loads(done.stdout)}
    if "--prune" in options:
        assert listed == {str(runs[name]) for name in removed}
        assert (f"{runs['running']} stays: it is running" in done.stderr) == (len(removed) == 2)
    assert {name for name, folder in runs.items() if not folder.exists()} == removed
    assert (tmp_path / "root/mine").exists()


@pytest.mark.parametrize(
    ("variables", "warning", "folder"),
    [
        ({"XDG_CACHE_HOME": "cache", "HOME": "/home/me"}, "XDG_CACHE_HOME=cache", "/home/me"),
        ({"HOME": ""}, "HOME=", "/listed"),
        ({"HOME": "me"}, "HOME=me", "/listed"),
        ({"XDG_CACHE_HOME": "", "HOME": "/home/me"}, "", "/home/me"),
    ],
)
def test_relative_folders_of_the_user_are_ignored(variables, warning, folder, run, monkeypatch):
    """As the XDG base directory specification says; without HOME, the user database has one."""
    monkeypatch.setattr("pwd.getpwuid", lambda _: type("Entry", (), {"pw_dir": "/listed"}))
    for name in ("ALEXNET_CHECKPOINTS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = run("checkpoints")
    assert done.stdout == f"0 in {folder}/.cache/alexnet/checkpoints, 0 B\n"
    said = f"warning: {warning} is no absolute path, and is ignored\n" if warning else ""
    assert done.stderr == said
