"""A run that starts over names an interrupted one that it cannot resume, and why it cannot."""

import os

import pytest

from alexnet.training.checkpoint import Checkpoints
from alexnet.training.unused_checkpoint import explain_unused_checkpoint
from tests.training.test_checkpoint import state

KEY = {
    "train": {"epochs": 3, "mean": (0.5, 0.5)},
    "code": {"training/loader.py": "a", "training/loss.py": "b"},
    "data": {"meta.json": "c"},
    "hardware": {"torch": "2.14.1", "threads": 2, "world_size": 1},
    "dtype": "torch.float32",
}


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "root"


def changed(**sections):
    return KEY | {name: KEY[name] | values for name, values in sections.items()}


def interrupt(root, key, step=120, project=None, minutes=3):
    here = os.getcwd()
    os.chdir(project or here)
    run = Checkpoints(root, key, num_steps=180)
    os.chdir(here)
    run.save(state(step))
    run.close()
    (path,) = run.folder.glob("step-*.safetensors")
    written = path.stat().st_mtime - 60 * minutes
    os.utime(path, (written, written))
    return run


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        (
            changed(hardware={"threads": 4}, code={"training/loader.py": "z"}),
            "it was made with another alexnet/training/loader.py, with 4 threads (now 2); "
            "it resumes with OMP_NUM_THREADS=4 and that file as it was",
        ),
        (
            changed(train={"epochs": 5}, hardware={"torch": "2.12"}),
            "it was made with train.epochs 5 (now 3), with PyTorch 2.12 (now 2.14.1); "
            "it resumes with train.epochs: 5 and PyTorch 2.12",
        ),
        (
            changed(code={"training/new.py": "n"}, data={"meta.json": "x"}),
            "it was made with alexnet/training/new.py, which is gone, with another "
            "data/processed/meta.json; it resumes with those files as they were",
        ),
        (
            KEY | {"compiled": False},
            "it was made by another version of the project, with other parameters",
        ),
        (
            changed(code={f"{n}.py": "n" for n in range(9)}),
            "it was made with alexnet/0.py, which is gone, with alexnet/1.py, which is gone, "
            "with alexnet/2.py, which is gone, with alexnet/3.py, which is gone "
            "and 5 more differences",
        ),
    ],
)
def test_the_differences_and_what_would_resume_it_are_named(root, theirs, words):
    interrupt(root, theirs)
    found = explain_unused_checkpoint(root, KEY)
    head, _, rest = found.partition(" is not used: ")
    assert head == "the checkpoint of step 120 of 180 (3.0 min ago)"
    assert rest == words


def test_of_several_the_closest_is_named_and_those_of_other_projects_are_not(root, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    interrupt(root, changed(hardware={"threads": 8}), project=tmp_path / "elsewhere")
    interrupt(root, changed(hardware={"threads": 4, "world_size": 2}), step=150)
    assert "(now 1)" in explain_unused_checkpoint(root, KEY)
    interrupt(root, changed(hardware={"threads": 4}))
    complete = Checkpoints(root, changed(hardware={"threads": 3}))
    complete.save(state(1), is_final=True)
    (tmp_path / "weights").touch()
    complete.mark_complete(tmp_path / "weights")
    complete.close()
    found = explain_unused_checkpoint(root, KEY)
    assert found.startswith("the checkpoint of step 120 of 180")
    assert found.endswith("it resumes with OMP_NUM_THREADS=4 (1 more: `alexnet checkpoints`)")


def test_nothing_is_said_where_there_is_none(root):
    assert explain_unused_checkpoint(root, KEY) == ""
