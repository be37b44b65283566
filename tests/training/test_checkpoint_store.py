"""The folders of checkpoints: where they are, what is found there, and what may be removed."""

import shutil
from pathlib import Path

import pytest

from alexnet.errors import UserError
from alexnet.training.checkpoint import Checkpoints
from alexnet.training.checkpoint_store import (
    DAY_SECONDS,
    checkpoint_root,
    file_digests,
    find_runs,
    remove_recorded,
    remove_run,
)
from tests.training.test_checkpoint import state

EMPTY_MD5 = "d41d8cd98f00b204e9800998ecf8427e"  # RFC 1321: of no bytes


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch) -> Path:
    """The current directory, and weights without a byte in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "weights").touch()
    return folder


def trained(root: Path, seed: int = 0, is_complete: bool = True) -> Path:
    """A run of four steps in all, complete or interrupted at step 2. Returns its folder."""
    run = Checkpoints(root, {"seed": seed}, num_steps=4)
    run.save(state(2))
    if is_complete:
        run.save(state(4), is_final=True)
        run.mark_complete(Path("weights"))
    run.close()
    return run.folder


# Where


def test_the_folder_of_checkpoints(monkeypatch, tmp_path):
    monkeypatch.setenv("ALEXNET_CHECKPOINTS", str(tmp_path))
    assert checkpoint_root() == tmp_path
    monkeypatch.delenv("ALEXNET_CHECKPOINTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert checkpoint_root() == tmp_path / "alexnet/checkpoints"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert checkpoint_root() == tmp_path / ".cache/alexnet/checkpoints"


def test_without_a_home_the_error_names_the_variable_to_set(monkeypatch):
    for name in ("ALEXNET_CHECKPOINTS", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54321)  # whom no passwd file knows
    with pytest.raises(
        UserError, match=r"user 54321 has no home directory .*; set HOME, or ALEXNET_CHECK"
    ):
        checkpoint_root()


# What is there


def test_a_run_is_found_with_its_project_steps_and_state(tmp_path, project):
    root = tmp_path / "root"
    trained(root, seed=1)
    trained(root, seed=2, is_complete=False)
    running = Checkpoints(root, {"seed": 3}, num_steps=4)
    found = {run.key["seed"]: run for run in find_runs(root)[0]}
    running.close()
    assert {seed: run.state for seed, run in found.items()} == {
        1: "complete", 2: "interrupted", 3: "running",
    }  # fmt: skip
    assert [found[seed].step for seed in (1, 2, 3)] == [4, 2, 0]
    assert {(run.project, run.num_steps) for run in found.values()} == {(project, 4)}
    files = found[1].folder.glob("step-*")
    assert found[1].num_bytes == sum(path.stat().st_size for path in files) > 120_000


def test_what_is_not_a_run_s_is_named_and_never_removed(tmp_path):
    root = tmp_path / "root"
    damaged, other = trained(root, seed=1), trained(root, seed=2)
    text = (damaged / "run.json").read_text()
    (damaged / "run.json").write_text(text.replace('"seed": 1', '"seed": 7'))
    (other / "run.json").write_text("{")
    moved = shutil.copytree(trained(root, seed=3), root / "moved")
    (root / "folder").mkdir()
    (root / "file").write_text("mine")
    linked = tmp_path / "linked"
    trained(tmp_path, seed=4).rename(linked)
    (root / "link").symlink_to(linked)
    before = {path for path in tmp_path.rglob("*") if path.parent.parent != root}
    runs, words = find_runs(root)
    assert [run.key for run in runs] == [{"seed": 3}]
    for path in (damaged, other, moved, root / "folder", root / "file", root / "link"):
        assert sum(f"{path} is left alone" in line for line in words) == 1, path
    assert remove_recorded(root, Path.cwd(), [EMPTY_MD5]) == [runs[0].folder]
    left = {path for path in tmp_path.rglob("*") if path.parent.parent != root}
    assert before - left == {runs[0].folder}
    assert list(damaged.glob("step-*"))


def test_digests_of_files_are_by_name(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # FIPS 180-4
    assert file_digests([tmp_path / "a" / "b"], tmp_path) == {"a/b": empty}


# What may go


@pytest.mark.parametrize(
    ("is_complete", "recorded", "days", "elsewhere", "removed"),
    [
        (True, [EMPTY_MD5, "0" * 32], 0, False, True),
        (True, [], 0, False, False),
        (True, ["0" * 32], 29, False, False),
        (True, [], 31, False, True),
        (True, [], 31, True, True),
        (True, [EMPTY_MD5], 0, True, False),
        (True, [], -1000, False, False),  # the clock was set back
        (False, [EMPTY_MD5], 1000, False, False),
    ],
)
def test_only_complete_runs_go_once_they_are_recorded_or_old(
    is_complete, recorded, days, elsewhere, removed, tmp_path, project, monkeypatch
):
    root = tmp_path / "root"
    folder = trained(root, is_complete=is_complete)
    (path,) = folder.glob("step-*.safetensors")
    written = path.stat().st_mtime
    monkeypatch.setattr("time.time", lambda: written + days * DAY_SECONDS)
    other = tmp_path if elsewhere else project
    assert remove_recorded(root, other, recorded) == [folder] * removed
    assert folder.exists() != removed


def test_a_run_that_is_training_again_is_not_complete_and_is_not_removed(tmp_path, project):
    root = tmp_path / "root"
    folder = trained(root)
    again = Checkpoints(root, {"seed": 0}, num_steps=4)
    assert remove_recorded(root, project, [EMPTY_MD5]) == []
    assert not remove_run(folder)
    assert again.load_latest().step == 4
    again.close()
    assert remove_recorded(root, project, [EMPTY_MD5]) == [], "its results were not written yet"
    assert remove_run(folder)
    assert not folder.exists()


def test_clearing_a_folder_that_is_missing_or_not_readable_is_no_error(
    tmp_path, project, monkeypatch, caplog
):
    assert remove_recorded(tmp_path / "none", project, [EMPTY_MD5]) == []
    trained(tmp_path / "root")

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied", "run.json")

    monkeypatch.setattr(Path, "unlink", denied)
    assert remove_recorded(tmp_path / "root", project, [EMPTY_MD5]) == []
    monkeypatch.setattr(Path, "iterdir", denied)
    assert remove_recorded(tmp_path / "root", project, [EMPTY_MD5]) == []
    assert len(caplog.messages) == 2
    assert all("Permission denied" in line for line in caplog.messages)
