"""A training that is due starts from the weights that main has now; no other is made due."""

import subprocess

import pytest

from alexnet.errors import UserError
from ci import start
from tests.ci.conftest import dump, git
from tests.conftest import write_params

FROM_MAIN = "origin/main:models/weights.safetensors"
PRETRAINED = ("--force", "--single-item", "pretrained")
PIPELINE = {
    "stages": {
        "preprocess": {"cmd": "true", "deps": ["images"], "outs": ["data/images"]},
        "pretrained": {"cmd": "true", "deps": ["code"], "outs": ["models/pretrained.json"]},
        "train": {"cmd": "true", "deps": ["data/images"], "outs": ["models/weights.safetensors"]},
    }
}


@pytest.fixture
def ran(project, monkeypatch):
    """A project whose training is up to date; what DVC is asked to run."""
    write_params(project, model__start_from=FROM_MAIN)
    dump(project / "dvc.yaml", PIPELINE)
    outs = ("data/images", "models/pretrained.json", "models/weights.safetensors")
    for name in ("images", "code", *outs):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("1")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=pipeline")
    subprocess.run(["dvc", "commit", "--quiet", "--force"], check=True)
    git(project, "add", "dvc.lock")
    git(project, "commit", "--quiet", "--message=results")
    git(project, "update-ref", "refs/remotes/origin/main", "HEAD")
    monkeypatch.setenv("RETRAIN_FROM", "main")
    ran = []
    monkeypatch.setattr(start, "repro", lambda *arguments: ran.append(arguments))
    return ran


def test_a_training_that_is_up_to_date_stays_so(ran, project, capsys):
    start.start()
    assert ran == [("--pull", "preprocess")]
    assert capsys.readouterr().out == "start: train is up to date\n"
    (project / "models/weights.safetensors").unlink()  # what is restored is not due
    start.start()
    assert PRETRAINED not in ran


@pytest.mark.parametrize(
    "due",
    ["images", "first", *(pytest.param(d, marks=pytest.mark.slow) for d in ("code", "command"))],
)
def test_one_that_is_due_reads_mains_weights_again(ran, project, capsys, due):
    if due == "command":
        pipeline = (project / "dvc.yaml").read_text()
        before, train = pipeline.split("train:")
        (project / "dvc.yaml").write_text(f"{before}train:{train.replace('true', 'true 2')}")
    elif due != "first":
        (project / {"images": "data/images", "code": "code"}[due]).write_text("2")
    else:
        (project / "dvc.lock").unlink()
    start.start()
    assert ran == [("--pull", "preprocess"), PRETRAINED]
    line = "start: training starts from the weights of origin/main\n"
    assert capsys.readouterr().out.endswith(line)


def test_main_without_weights_is_an_error(ran, project):
    git(project, "update-ref", "refs/remotes/origin/main", "HEAD~")
    with pytest.raises(
        UserError, match="origin/main has no weights yet to start from; train first"
    ):
        start.start()
    assert ran == []


def test_without_the_variable_nothing_runs(ran, monkeypatch):
    monkeypatch.setenv("RETRAIN_FROM", "")
    start.start()
    assert ran == []


@pytest.mark.parametrize("found", [None, "origin/other:models/weights.safetensors"])
def test_other_weights_in_params_are_an_error(ran, project, found):
    write_params(project, model__start_from=found)
    with pytest.raises(
        UserError, match=rf"RETRAIN_FROM is main, but .* is {found}; set it to {FROM_MAIN}"
    ):
        start.start()
    assert ran == []
