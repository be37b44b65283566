"""The receiver's check finds every change of an artifact and reports it plainly."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest

from alexnet.errors import UserError
from alexnet.export.bundle import write_manifest
from alexnet.files import sha256
from alexnet.inference.verification import verify


@pytest.fixture
def folder(artifact, tmp_path):
    """An artifact as received, for a test to damage."""
    return shutil.copytree(artifact, tmp_path / "artifacts")


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def rewrite_manifest(folder, **changes):
    """Change the manifest and give it valid digests again, as a dishonest sender would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name in ("manifest.json", "SHA256SUMS"):
        (folder / name).unlink()
    del manifest["files"]
    write_manifest(folder, manifest | changes)


def test_an_artifact_as_exported(folder):
    result = verify(folder)
    assert result.num_files == len(files(folder))
    assert result.num_samples == 4
    assert list(result.max_difference) == ["fp32"]
    assert result.max_difference["fp32"] < 1e-6
    assert result.manifest_sha256 == sha256(folder / "manifest.json")


def test_sha256sum_agrees(folder):
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    assert len(result.stdout.splitlines()) == len(files(folder)) - 1


def test_a_flipped_bit_in_any_file(folder):
    for path in files(folder):
        content = path.read_bytes()
        for position in np.linspace(0, len(content) - 1, 25).astype(int):
            damaged = bytearray(content)
            damaged[position] ^= 1
            path.write_bytes(damaged)
            with pytest.raises(UserError):
                verify(folder)
        path.write_bytes(content)
    verify(folder)


def test_a_truncated_extended_empty_or_missing_file(folder):
    for path in files(folder):
        content = path.read_bytes()
        for damaged in (content[:-1], content + b"\n", b""):
            path.write_bytes(damaged)
            with pytest.raises(UserError, match=re.escape(path.name)):
                verify(folder)
        path.unlink()
        with pytest.raises(UserError, match=rf"{path.name}(: is missing| does not exist)"):
            verify(folder)
        path.write_bytes(content)
    verify(folder)


@pytest.mark.parametrize("name", ["more.txt", "samples/99.png", ".hidden", "new/model.onnx"])
def test_an_added_file(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("more")
    with pytest.raises(UserError, match=f"{name}: is not in the manifest"):
        verify(folder)


def test_a_link_instead_of_a_file(folder, tmp_path):
    (folder / "labels.json").rename(tmp_path / "labels.json")
    (folder / "labels.json").symlink_to(tmp_path / "labels.json")
    with pytest.raises(UserError, match=r"labels.json: is not a plain file"):
        verify(folder)


def test_all_errors_are_listed_at_once(folder):
    (folder / "labels.json").unlink()
    (folder / "MODEL_CARD.md").write_text("# Something else\n")
    (folder / "more").write_text("more")
    with pytest.raises(UserError) as caught:
        verify(folder)
    assert "labels.json: is missing" in str(caught.value)
    assert "more: is not in the manifest" in str(caught.value)
    assert "MODEL_CARD.md: has 17 bytes, expected " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "has no schema number"),
        ("{}", "has no schema number"),
        ('{"schema": "1"}', "has no schema number"),
        ('{"schema": 0}', "has no schema number"),
        ('{"schema": 4}', "has schema 4, and this version supports up to 3; install a newer"),
        ('{"schema": 2}', "metadata is incomplete or damaged .*'files'"),
        (
            '{"schema": 2, "files": {"labels.json": {"bytes": "1"}}}',
            "metadata is incomplete or damaged",
        ),
        ('{"schema": 2, "files": [1]}', "metadata is incomplete|differs from what its sender"),
    ],
)
def test_a_manifest_of_another_form(folder, text, message):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=message):
        verify(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("variant", "imagenet-2012"),
        ("preprocessing", {"resize": 64, "crop": 32, "channels": 3}),
        ("provenance", {"revision": "1" * 40}),
        ("input", {"name": "images", "type": "float32", "shape": ["batch", 32, 32, 3]}),
        ("outputs", {"logits": {"shape": ["batch", 10]}}),
        ("classes", None),  # labels.json in another order
    ],
)
def test_a_valid_manifest_of_another_model(folder, key, value):
    if key == "classes":
        labels = json.loads((folder / "labels.json").read_text())
        (folder / "labels.json").write_text(json.dumps(labels[::-1]))
        rewrite_manifest(folder)
    else:
        rewrite_manifest(folder, **{key: value})
    with pytest.raises(UserError, match=f"  {key}: model.onnx has "):
        verify(folder)


@pytest.mark.parametrize(("rows", "factor"), [(-1, 1.0), (1, 1.01)], ids=["others", "same labels"])
def test_other_weights_under_a_valid_manifest(folder, rows, factor):
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.dims == [10, 256]:
            values = onnx.numpy_helper.to_array(tensor)[::rows] * np.float32(factor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, folder / "model.onnx")
    rewrite_manifest(folder)
    with pytest.raises(UserError, match=r"samples/00.png: expected "):
        verify(folder)


def test_a_file_that_is_no_model_under_a_valid_manifest(folder):
    (folder / "model.onnx").write_text("not a model")
    rewrite_manifest(folder)
    with pytest.raises(UserError, match="is not a model that onnxruntime can run"):
        verify(folder)


def test_the_command(run, folder):
    result = run("verify", folder)
    assert result.returncode == 0, result.stderr
    assert "is verified" in result.stdout
    assert "4 samples reproduce" in result.stdout
    assert sha256(folder / "manifest.json") in result.stdout
    (folder / "labels.json").unlink()
    for path, message in ((folder, "labels.json: is missing"), ("none", "is not a folder")):
        result = run("verify", path)
        assert result.returncode == 1
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
        assert "Traceback" not in result.stderr


def test_neither_torch_nor_onnx_is_needed(folder, tmp_path):
    for name in ("torch", "onnx", "safetensors", "sklearn"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not installed')")
    path = os.pathsep.join([str(tmp_path), os.getcwd()])
    for arguments in (["verify", folder], ["predict", folder, folder / "samples"]):
        result = subprocess.run(
            [sys.executable, "-m", "alexnet.cli.main", *arguments],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
