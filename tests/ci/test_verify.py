"""Damaged files in DVC's cache are found before they are pushed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from alexnet.errors import UserError
from ci.push import push
from ci.verify import verify
from tests.ci.conftest import dump, store
from tests.runs import flip_a_bit


@pytest.fixture
def cached(project, monkeypatch) -> Path:
    """A project whose folder `artifacts` and file `weights` are in the cache; returns it."""
    cache = project / ".dvc/cache"
    monkeypatch.setattr("stages.runtime.damage.cache_folder", lambda: Path(".dvc/cache"))
    (project / "artifacts/samples").mkdir(parents=True)
    contents = {"model.onnx": b"model", "samples/0.png": b"image"}
    for name, content in contents.items():
        (project / "artifacts" / name).write_bytes(content)
    (project / "weights").write_bytes(b"weights")
    listing = json.dumps([{"md5": store(cache, c), "relpath": n} for n, c in contents.items()])
    folder = store(cache, listing.encode())
    (cache / "files/md5" / folder[:2] / folder[2:]).rename(
        cache / "files/md5" / folder[:2] / f"{folder[2:]}.dir"
    )
    outs = {
        "export": {"path": "artifacts", "md5": f"{folder}.dir"},
        "train": {"path": "weights", "md5": store(cache, b"weights")},
    }
    stages = {name: {"cmd": "true", "outs": [out]} for name, out in outs.items()}
    dump(project / "dvc.lock", {"schema": "2.0", "stages": stages})
    stages = {name: {"cmd": "true", "outs": [out["path"]]} for name, out in outs.items()}
    dump(project / "dvc.yaml", {"stages": stages})
    return project


def copies(project: Path, content: bytes) -> Path:
    (path,) = (
        path
        for path in (project / ".dvc/cache").rglob("*")
        if path.is_file() and path.read_bytes() == content
    )
    return path.relative_to(project)


@pytest.mark.parametrize(
    ("content", "name", "stage"),
    [
        (b"image", "artifacts/samples/0.png", "export"),
        (b"weights", "weights", "train"),
        (None, "artifacts", "export"),
    ],
)
@pytest.mark.parametrize("here", ["intact", "damaged"])
def test_a_damaged_copy_is_named_with_its_cure(content, name, stage, here, cached, capsys):
    verify()
    assert capsys.readouterr().out == "verify: the cached copies of 2 outputs are intact\n"
    path = (
        copies(cached, content)
        if content
        else next((cached / ".dvc/cache").rglob("*.dir")).relative_to(cached)
    )
    flip_a_bit(path)
    if here == "damaged":
        flip_a_bit(cached / (name if content else "artifacts/model.onnx"))
    with pytest.raises(UserError) as caught:
        verify()
    first, _, remove, again = str(caught.value).splitlines()
    assert first == f"{path} in DVC's cache, the copy of {name}, is damaged"
    assert remove.split()[:3] == ["rm", "-rf", str(path)]
    if here == "intact":
        assert again == f"  dvc commit --force {stage}"
    else:
        assert remove.split()[3:] == [name]
        assert again.startswith(f"  dvc repro {stage} ")


def test_nothing_damaged_is_pushed(cached, monkeypatch):
    called = []
    monkeypatch.setattr("ci.push.compare", lambda *arguments: None)
    monkeypatch.setattr("ci.push.dvc", lambda *arguments: called.append(arguments))
    push()
    assert called == [("push", "--run-cache")]
    flip_a_bit(copies(cached, b"weights"))
    with pytest.raises(UserError, match="the copy of weights, is damaged"):
        push()
    assert len(called) == 1


@pytest.mark.slow
def test_the_cache_may_lie_anywhere(cached, tmp_path):
    (cached / ".dvc/cache").rename(tmp_path / "elsewhere")
    with (cached / ".dvc/config").open("a") as config:
        config.write(f"[cache]\n    dir = {tmp_path / 'elsewhere'}\n")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "ci.verify"]
    assert subprocess.run(command, env=environment).returncode == 0
    for path in (tmp_path / "elsewhere").rglob("*.dir"):
        flip_a_bit(path)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"error: {tmp_path}/elsewhere/files/md5/" in done.stderr
