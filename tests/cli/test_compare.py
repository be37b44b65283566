"""`alexnet report --compare` in a small project of git and DVC."""

import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.reports import HISTORY, META, METRICS, write_report
from tests.stages.projects import call, commit, dvc

pytestmark = pytest.mark.slow
PIPELINE = """stages:
  all:
    cmd: "true"
    outs: [data/processed/test.safetensors, reports/preprocess, reports/train, reports/evaluate]
"""
LABELS = [0, 0, 0, 1, 1]


def write_run(folder: Path, predicted: list[int], epochs: int, names=("cat", "dog")) -> None:
    """Write what a run records, and let dvc.lock name it."""
    pairs = enumerate(zip(LABELS, predicted, strict=True))
    lines = [f"{k},{names[actual]},{names[guess]},0.9" for k, (actual, guess) in pairs]
    right = sum(map(int.__eq__, LABELS, predicted))
    per_class = dict(zip(names, METRICS["per_class"].values(), strict=True))
    metrics = METRICS | {"n": 5, "accuracy": right / 5, "per_class": per_class}
    reports = {
        "preprocess/params.json": {"data": {"name": "folder"}},
        "train/params.json": {"model": {}, "train": {"epochs": epochs}},
        "train/history.csv": HISTORY,
        "evaluate/params.json": {"evaluate": {}},
        "evaluate/metrics.json": metrics,
        "evaluate/predictions.csv": "\n".join(["index,actual,predicted,confidence", *lines, ""]),
    }
    for name, content in reports.items():
        write_report(folder / "reports" / name, content)
    dvc(folder, "commit", "--force", "--quiet")


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """Its workspace is at main; `others` has other classes, `resplit` other images, and
    `lost` has lost its files."""
    folder = tmp_path_factory.mktemp("project")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / ".gitignore").write_text("/data/\n/reports/\n")
    write_report(folder / "data/processed/meta.json", META)
    images = torch.arange(5 * 32 * 32 * 3).reshape(5, 32, 32, 3).to(torch.uint8)
    path = folder / "data/processed/test.safetensors"
    save_file({"images": images, "labels": torch.tensor(LABELS)}, path)
    call(folder, "git", "init", "--quiet", "--initial-branch=main")
    write_run(folder, [1, 1, 1, 1, 1], 1)
    commit(folder)
    call(folder, "git", "branch", "lost")
    for out in (folder / ".dvc/cache/files/md5").rglob("*"):
        if out.is_file() and "predictions.csv" in out.read_text(errors="ignore"):
            out.unlink()
    write_run(folder, LABELS, 1, names=("ox", "emu"))
    commit(folder)
    call(folder, "git", "branch", "others")
    save_file({"images": 255 - images, "labels": torch.tensor(LABELS)}, path)
    write_run(folder, LABELS, 2)
    commit(folder)
    call(folder, "git", "branch", "resplit")
    save_file({"images": images, "labels": torch.tensor(LABELS)}, path)
    write_run(folder, LABELS, 2)
    commit(folder)
    write_run(folder, [0, 0, 1, 1, 1], 3)
    dvc(folder, "exp", "save", "--name=tried")
    call(folder, "git", "checkout", "--quiet", "dvc.lock")
    write_run(folder, LABELS, 2)
    return folder


def compare(folder: Path, revision: str, check: bool = False, **environment: str):
    command = (sys.executable, "-m", "alexnet.cli.main", "report", f"--compare={revision}")
    return call(folder, *command, check=check, **environment)


def test_an_experiment_is_compared_with_the_workspace(project):
    done = compare(project, "tried", check=True)
    page = project / "reports/compare.html"
    expected = f"{page}: accuracy 100.00%, of tried 80.00% (+20.00 points)\n"
    assert done.stdout == expected
    text = " ".join(page.read_text().split())
    assert re.search("train.epochs</code></th><td[^>]*>2</td><td[^>]*>3</td>", text)
    assert "Of the same 5 test images, 1 are classified correctly by workspace alone" in text
    assert "tried predicted: dog" in text
    assert not call(project, "git", "status", "--short").stdout


def test_other_test_images_are_noticed(project):
    """Those of `resplit` have the same labels: the digest in dvc.lock tells."""
    done = compare(project, "resplit", check=True)
    assert done.stdout.endswith("of resplit 100.00% (+0.00 points, on other test images)\n")
    assert "McNemar" not in (project / "reports/compare.html").read_text()


@pytest.mark.parametrize(
    ("revision", "message"),
    [
        ("nosuch", "error: nosuch: git knows no such revision, and DVC no such experiment"),
        ("lost", "error: lost: DVC has no reports/evaluate of it in its cache or its remote"),
        ("others", "error: others has other classes: only one of the two runs has"),
    ],
)
def test_what_cannot_be_compared_is_an_error(project, revision, message):
    done = compare(project, revision)
    assert done.returncode == 1
    assert done.stderr.startswith(message)


def test_a_project_without_git_is_an_error(project, tmp_path):
    call(tmp_path, "cp", "-R", project / "reports", project / "dvc.lock", tmp_path)
    done = compare(tmp_path, "main")
    assert done.returncode == 1
    assert done.stderr.startswith("error: git does not track a dvc.lock here")
