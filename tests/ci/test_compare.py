"""What is worse than the main branch goes no further, and nothing else is held up."""

import json

import pytest

from alexnet.errors import UserError
from ci.compare import compare
from ci.push import push
from tests.ci.conftest import dump, lock


@pytest.mark.parametrize(("accuracy", "before"), [(0.9, 0.8), (0.9, 0.9), (0.8991, 0.904)])
def test_a_model_that_is_no_worse_than_allowed_goes_on(accuracy, before, on_main, here, capsys):
    on_main(before)
    project = here(accuracy)
    compare("main", 0.005)
    assert f"accuracy {accuracy:.4f}, on main {before:.4f}; " in capsys.readouterr().out
    written = json.loads((project / "reports/comparison.json").read_text())
    assert (written["passed"], written["metrics"]["accuracy"]) == (True, before)


@pytest.mark.parametrize("accuracy", [0.8949, 0.1, float("nan")])
def test_a_worse_one_does_not(accuracy, on_main, here, capsys, monkeypatch):
    on_main(0.9)
    project = here(accuracy)
    with pytest.raises(SystemExit) as stopped:
        compare("main", 0.005)
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: compare: accuracy {accuracy:.4f}, on main 0.9000: a drop of ")
    assert "train better, or allow more with --max-drop" in said
    assert not json.loads((project / "reports/comparison.json").read_text())["passed"]

    called = []
    monkeypatch.setattr("ci.push.dvc", lambda *arguments: called.append(arguments))
    with pytest.raises(SystemExit):
        push("main", 0.005)
    assert not called, "nothing is pushed"


def test_what_has_passed_is_pushed(on_main, here, monkeypatch):
    on_main(0.9)
    here(0.9)
    called = []
    monkeypatch.setattr("ci.push.dvc", lambda *arguments: called.append(arguments))
    push("main", 0.005)
    assert called == [("push", "--run-cache")]


def test_other_test_images_are_told(on_main, here, capsys):
    project = on_main(0.9)
    here(0.95)
    compare("main")
    assert "other test images" not in capsys.readouterr().out
    dump(project / "dvc.lock", lock("b" * 32, 1, images="c" * 32))
    compare("main")
    assert "accuracy 0.9500, on main 0.9000 of other test images" in capsys.readouterr().out


def test_the_first_model_of_all_has_nothing_to_be_compared_with(here, capsys):
    here(0.3)
    compare("main")
    assert "main has no results yet to compare with; accuracy 0.3000" in capsys.readouterr().out


def test_a_comparison_of_an_earlier_run_does_not_stay(on_main, here):
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
        ({"of_these_weights": False}, "gate.json is of other weights than models/weights"),
    ],
)
def test_what_the_gate_has_not_passed_is_not_compared(run, message, on_main, here):
    on_main(0.1)
    here(0.9, **run)
    with pytest.raises(UserError, match=message):
        compare("main")


def test_a_revision_that_is_not_there(here):
    here(0.9)
    with pytest.raises(UserError, match="git knows no revision origin/main; `git fetch` it, or"):
        compare()


def test_metrics_that_nobody_pushed(on_main, here):
    on_main(0.9, pushed=False)
    here(0.9)
    with pytest.raises(UserError, match="metrics of main are neither in the cache nor on the DVC"):
        compare("main")
