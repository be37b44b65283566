"""Training runs again by force if the image has changed since the results, and only then."""

import json

import pytest

from alexnet.errors import UserError
from ci.environment import environment
from stages.runtime.dvc_files import parse_lock
from tests.ci.conftest import dump, git

CHECKOUT = ("checkout", "--force", "train")
TRAIN = ("repro", "--force", "--single-item", "train")


@pytest.fixture
def results(project, monkeypatch):
    """A project with results, whose manifest names its revision; what DVC is called with.

    Training gives the same weights, and takes another time; `weights` in the project changes them.
    """
    called: list[tuple[str, ...]] = []

    def dvc(*arguments: str) -> None:
        called.append(arguments)
        if arguments == TRAIN:
            dump(project / "dvc.lock", lock("b" if (project / "weights").exists() else "a", "2"))

    monkeypatch.setattr("ci.environment.dvc", dvc)
    monkeypatch.setattr("ci.environment.repro", lambda *arguments: dvc("repro", *arguments))
    (project / "Dockerfile").write_text("FROM a\n")
    dump(project / "dvc.lock", lock("a", "1"))
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=results")
    return project, called


def lock(weights: str, timing: str) -> dict:
    files = {"models/weights.safetensors": weights, "reports/train/live.json": timing}
    stages = {"train": [{"path": path, "md5": md5} for path, md5 in files.items()], "export": []}
    stages = {name: {"cmd": "true", "outs": outs} for name, outs in stages.items()}
    return {"schema": "2.0", "stages": stages}


def recorded(project) -> dict[str, list[str]]:
    stages = parse_lock((project / "dvc.lock").read_bytes())
    return {name: [out.md5 for out in stage.outs] for name, stage in stages.items()}


def write_manifest(project, revision: str | None) -> None:
    (project / "artifacts").mkdir()
    manifest = {"provenance": {"revision": revision}}
    (project / "artifacts/manifest.json").write_text(json.dumps(manifest))


def change(project, name: str) -> None:
    (project / name).write_text("FROM b\n")
    git(project, "add", name)
    git(project, "commit", "--quiet", "--message=newer")


@pytest.mark.parametrize("has_manifest", [True, False])
def test_only_a_change_of_the_image_trains(has_manifest, results, capsys):
    project, called = results
    if has_manifest:
        write_manifest(project, git(project, "rev-parse", "HEAD"))
    change(project, "README.md")
    environment()
    assert not called
    assert "Dockerfile, train.lock, ci/image are those of " in capsys.readouterr().out
    change(project, "train.lock")
    environment()
    assert called == [("repro", "--pull", "pretrained", "preprocess"), TRAIN, CHECKOUT]
    assert ": train.lock; train runs again\n" in capsys.readouterr().out


def test_results_that_were_lost_do_not_hide_a_change(results):
    """ci.pull has left the command of train alone, so that it runs; export has to as well."""
    project, called = results
    change(project, "Dockerfile")
    values = lock("a", "1")
    values["stages"]["train"] = {"cmd": "true"}
    dump(project / "dvc.lock", values)
    environment()
    assert TRAIN in called
    assert recorded(project) == {"train": ["a", "2"]}


@pytest.mark.parametrize("weights", ["same", "new"])
def test_export_runs_again_and_the_time_of_training_alone_is_no_result(weights, results):
    """The manifest gets the new revision, so that the next job does not train."""
    project, called = results
    if weights == "new":
        (project / "weights").touch()
    change(project, "Dockerfile")
    environment()
    assert recorded(project) == {"train": ["a", "1"] if weights == "same" else ["b", "2"]}
    assert (called[-1] == CHECKOUT) == (weights == "same")


def test_results_that_were_merged_late_do_not_hide_a_change(results):
    """They are of a revision before it, whatever the order of the commits."""
    project, called = results
    write_manifest(project, git(project, "rev-parse", "HEAD"))
    change(project, "Dockerfile")
    (project / "dvc.lock").write_text((project / "dvc.lock").read_text() + "# merged\n")
    git(project, "commit", "--quiet", "--all", "--message=results")
    environment()
    assert TRAIN in called


def test_results_of_an_unknown_revision_are_made_again(results, capsys):
    project, called = results
    write_manifest(project, "f" * 40)
    environment()
    assert TRAIN in called
    assert "unknown, git has no such commit; train runs again" in capsys.readouterr().out


def test_without_results_there_is_nothing_to_decide(results, capsys):
    project, called = results
    (project / "dvc.lock").unlink()
    environment()
    assert not called
    assert "there are no results yet" in capsys.readouterr().out


def test_why_a_training_failed_is_seen(project, capfd):
    command = "echo 'error: out of memory' >&2; exit 1"
    dump(
        project / "dvc.yaml",
        {"stages": {key: {"cmd": command} for key in ("pretrained", "preprocess")}},
    )
    dump(project / "dvc.lock", lock("a" * 32, "b" * 32))
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=results")
    change(project, "Dockerfile")
    with pytest.raises(UserError, match=r"^`dvc repro --pull pretrained preprocess` failed; the"):
        environment()
    assert "error: out of memory" in capfd.readouterr().err
