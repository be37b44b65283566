"""Which objects a remote lacks, another case than one that cannot be read; push sends them."""

import json
import subprocess
import sys

import pytest

from stages.runtime.dvc_files import recorded_outs
from tests.ci.conftest import dump, git, store
from tests.ci.s3 import s3_service
from tests.ci.test_remote import call

pytestmark = pytest.mark.slow
COMMANDS = {
    "export": "mkdir -p artifacts/samples && printf model > artifacts/model.onnx"
    " && printf image > artifacts/samples/0.png",
    "train": "printf weights > weights",
}


@pytest.fixture
def shared(project):
    """A project whose folder `artifacts` (of export) and file `weights` (of train) are shared."""
    remote = project.parent / "remote"
    contents = {"model.onnx": b"model", "samples/0.png": b"image"}
    listing = json.dumps([{"md5": store(remote, c), "relpath": n} for n, c in contents.items()])
    folder = store(remote, listing.encode())
    place = remote / "files/md5" / folder[:2] / folder[2:]
    place.rename(place.with_name(f"{place.name}.dir"))
    outs = {
        "export": {"path": "artifacts", "hash": "md5", "md5": f"{folder}.dir", "size": 10}
        | {"nfiles": 2},
        "train": {"path": "weights", "hash": "md5", "md5": store(remote, b"weights"), "size": 7},
    }
    stages = {name: {"cmd": COMMANDS[name], "outs": [out]} for name, out in outs.items()}
    dump(project / "dvc.lock", {"schema": "2.0", "stages": stages})
    stages = {name: {"cmd": COMMANDS[name], "outs": [o["path"]]} for name, o in outs.items()}
    dump(project / "dvc.yaml", {"stages": stages})
    (project / ".gitignore").write_text("/artifacts\n/weights\n")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message=results")
    return project


def gone(project, content: bytes):
    """Remove an object from the remote; returns its place."""
    for path in (project.parent / "remote").rglob("*"):
        if path.is_file() and content in path.read_bytes():
            path.unlink()
            return path
    raise AssertionError(content)


@pytest.mark.parametrize(
    ("content", "path", "stage", "kept"),
    [
        (b"weights", "weights", "train", "artifacts/model.onnx"),
        (b"image", "artifacts/samples/0.png", "export", "weights"),
        (b"relpath", "artifacts", "export", "weights"),
    ],
)
def test_what_is_missing_is_named_and_made_again(content, path, stage, kept, shared):
    gone(shared, content)
    done = call("pull", shared)
    assert done.returncode == 0, done.stderr
    expected = (
        f"warning: pull: neither the remote nor this machine has {path}, which dvc.lock names;"
    )
    assert f"{expected} made again by: {stage}\n" in done.stderr
    assert {out.stage for out in recorded_outs()} == {"export", "train"} - {stage}
    assert (shared / kept).exists()


def test_the_same_result_made_again_is_the_same_lock(shared):
    """Also in its order: another one would be proposed, and a release refused."""
    before = (shared / "dvc.lock").read_text()
    gone(shared, b"image")
    assert call("pull", shared).returncode == 0
    subprocess.run([sys.executable, "-m", "dvc", "repro", "--pull"], check=True, cwd=shared)
    assert (shared / "dvc.lock").read_text() == before


def test_push_sends_a_file_that_an_earlier_one_left_out(shared, monkeypatch, capsys):
    """DVC takes it for stored, as the folder's listing is."""
    assert call("pull", shared).returncode == 0
    place = gone(shared, b"image")
    monkeypatch.setattr("ci.push.compare", lambda *arguments: None)
    monkeypatch.setattr("ci.push.verify", lambda: None)
    from ci.push import push

    push()
    assert "push: 1 files of folders that an earlier push had left out" in capsys.readouterr().out
    assert place.read_bytes() == b"image"


def test_a_missing_bucket_is_no_empty_remote(shared, monkeypatch):
    with s3_service() as s3:
        done = call("pull", shared, DVC_REMOTE_URL="s3://nobucket/store", **s3)
    assert done.returncode == 1
    assert "error: the DVC remote ci (s3://nobucket/store) cannot be read; check its" in done.stderr
    assert "bucket" in done.stderr.splitlines()[-1].partition("credentials.")[2]
