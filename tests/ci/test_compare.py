"""The comparison fails for a model that is worse than the main branch's, and for no other."""

import json

import pytest
from ruamel.yaml import YAML

from alexnet.errors import UserError
from ci.compare import compare
from ci.push import push
from ci.summary import summary
from tests.ci.conftest import dump, git, lock, store
from tests.reports import METRICS


def dvc_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that push gives DVC, which does not run."""
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr("ci.push.dvc", lambda *arguments: called.append(arguments))
    return called


@pytest.mark.parametrize(("accuracy", "before"), [(0.9, 0.8), (0.9, 0.9), (0.8991, 0.904)])
def test_a_model_within_the_allowed_drop_passes(accuracy, before, on_main, here, capsys):
    on_main(before)
    project = here(accuracy)
    compare("main", 0.005)
    assert f"accuracy {accuracy:.4f}, on main {before:.4f}; " in capsys.readouterr().out
    written = json.loads((project / "reports/comparison.json").read_text())
    assert (written["passed"], written["metrics"]["accuracy"]) == (True, before)


@pytest.mark.parametrize("accuracy", [0.8949, 0.1])
def test_a_worse_model_fails_and_is_not_pushed(accuracy, on_main, here, capsys, monkeypatch):
    on_main(0.9)
    project = here(accuracy)
    with pytest.raises(SystemExit) as stopped:
        compare("main", 0.005)
    assert stopped.value.code == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: compare: accuracy {accuracy:.4f}, on main 0.9000: a drop of ")
    assert "train better, or allow more with --max-drop" in error
    assert not json.loads((project / "reports/comparison.json").read_text())["passed"]

    called = dvc_calls(monkeypatch)
    with pytest.raises(SystemExit):
        push("main", 0.005)
    assert not called, "nothing is pushed"


def test_a_model_that_passes_is_pushed(on_main, here, monkeypatch):
    on_main(0.9)
    here(0.9)
    called = dvc_calls(monkeypatch)
    push("main", 0.005)
    assert called == [("push", "--run-cache")]


def test_other_test_images_are_reported(on_main, here, capsys):
    project = on_main(0.9)
    here(0.95)
    compare("main")
    assert "other test images" not in capsys.readouterr().out
    dump(project / "dvc.lock", lock("b" * 32, 1, images="c" * 32))
    compare("main")
    assert "accuracy 0.9500, on main 0.9000 of other test images" in capsys.readouterr().out


def test_a_model_that_started_from_mains_weights_is_no_independent_training(on_main, here, capsys):
    project = on_main(0.9)
    here(0.95, parent="1" * 64)
    compare("main")
    assert "started" not in capsys.readouterr().out
    here(0.95, parent=METRICS["weights_sha256"])
    compare("main")
    line = "accuracy 0.9500, on main 0.9000; it started from the weights of main; a drop of"
    assert line in capsys.readouterr().out
    summary()
    assert "is allowed); it started from the weights of main\n" in capsys.readouterr().out
    dump(project / "dvc.lock", lock("b" * 32, 1, images="c" * 32))
    compare("main")
    line = "of main, which may have been trained on some of its test images; a drop of"
    assert line in capsys.readouterr().out


def test_the_first_model_is_compared_with_nothing(here, capsys):
    here(0.3)
    compare("main")
    assert "main has no results yet to compare with; accuracy 0.3000" in capsys.readouterr().out


def test_the_comparison_of_an_earlier_run_is_removed(on_main, here):
    on_main(0.9)
    project = here(0.9)
    compare("main")
    here(0.9, passed=False)
    with pytest.raises(UserError):
        compare("main")
    assert not (project / "reports/comparison.json").exists()


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"passed": False}, "the model did not pass the gate"),
        ({"of_these_weights": False}, "gate.json belongs to other weights than models/weights"),
    ],
)
def test_a_model_that_fails_the_gate_is_not_compared(run, message, on_main, here):
    on_main(0.1)
    here(0.9, **run)
    with pytest.raises(UserError, match=message):
        compare("main")


def test_an_unknown_revision_is_an_error(here):
    here(0.9)
    with pytest.raises(UserError, match="git knows no revision origin/main; `git fetch` it, or"):
        compare()


def test_damaged_metrics_of_the_base_are_an_error(on_main, here):
    on_main(2.0)
    here(0.9)
    message = "metrics.json of main: accuracy: should be less than .*; run the stage evaluate there"
    with pytest.raises(UserError, match=message):
        compare("main")


@pytest.mark.parametrize(
    "lock", ["<<<<<<< HEAD\nstages:\n", "[1]", "stages: {evaluate: {deps: 1}}"]
)
def test_a_damaged_lock_is_an_error(lock, on_main, here):
    """Such as one in the middle of a merge."""
    on_main(0.9)
    (here(0.9) / "dvc.lock").write_text(lock)
    with pytest.raises(
        UserError, match=r"dvc\.lock is damaged, or has a merge conflict; put it back"
    ):
        compare("main")


@pytest.fixture
def lost(on_main, here):
    """A project whose main branch has lost its metrics, and nothing else."""
    project = on_main(0.9, pushed=False)
    values = YAML().load(project / "dvc.lock")
    content = store(project.parent / "remote", b"images")
    out = {"path": "data/raw", "hash": "md5", "md5": content, "size": 6}
    values["stages"]["download"] = {"cmd": "true", "outs": [out]}
    dump(project / "dvc.lock", values)
    git(project, "commit", "--quiet", "--all", "--message=images")
    here(0.3)
    return project


def test_metrics_that_are_lost_do_not_block_a_new_model(lost, capsys):
    compare("main")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "warning: compare: the metrics of main are lost, neither in the cache nor on the DVC "
        "remote; accuracy 0.3000 is compared with nothing\n"
    )
    summary()
    assert "- Comparison with main: **none was made**, its metrics are lost\n" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("url", ["{folder}/other", "{folder}/missing", "ssh://127.0.0.1:9/store"])
def test_metrics_on_another_remote_are_not_lost(url, lost):
    """Otherwise a wrong address, or a disk that is not mounted, would let a worse model pass."""
    folder = lost.parent
    (folder / "other").mkdir()
    remote = f"url = {folder / 'remote'}"
    config = (lost / ".dvc/config").read_text()
    (lost / ".dvc/config").write_text(config.replace(remote, f"url = {url.format(folder=folder)}"))
    with pytest.raises(UserError, match=r"metrics of main cannot be read, and|remote cannot be re"):
        compare("main")
