"""The receiver's check: whatever happens to a folder on its way is found, and told plainly."""

import json
import os
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
from tests.handing import small_handoff


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    """A folder as it was sent; its model is small, everything else is as always."""
    return small_handoff(tmp_path_factory.mktemp("sent") / "artifacts")


@pytest.fixture
def folder(sent, tmp_path):
    """The folder as it was received, for a test to damage."""
    return shutil.copytree(sent, tmp_path / "artifacts")


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def reseal(folder, **changes):
    """Change the manifest and give it a valid seal again, as an ill-meaning sender would."""
    facts = json.loads((folder / "manifest.json").read_text())
    for name in ("manifest.json", "SHA256SUMS"):
        (folder / name).unlink()
    del facts["files"]
    write_manifest(folder, facts | changes)


def test_a_folder_as_it_was_sent(folder):
    proof = verify(folder)
    assert proof.num_files == len(files(folder))
    assert proof.num_samples == 4
    assert list(proof.max_difference) == ["fp32"]
    assert proof.max_difference["fp32"] < 1e-6
    assert proof.manifest_sha256 == sha256(folder / "manifest.json")


def test_sha256sum_finds_the_same(folder):
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    assert len(result.stdout.splitlines()) == len(files(folder)) - 1


def test_a_flipped_bit_anywhere_in_any_file(folder):
    for path in files(folder):
        whole = path.read_bytes()
        for position in np.linspace(0, len(whole) - 1, 25).astype(int):
            broken = bytearray(whole)
            broken[position] ^= 1
            path.write_bytes(broken)
            with pytest.raises(UserError):
                verify(folder)
        path.write_bytes(whole)
    verify(folder)


def test_a_truncated_a_longer_and_an_empty_file(folder):
    for path in files(folder):
        whole = path.read_bytes()
        for broken in (whole[:-1], whole + b"\n", b""):
            path.write_bytes(broken)
            with pytest.raises(UserError, match=path.name.replace(".", r"\.")):
                verify(folder)
        path.write_bytes(whole)
    verify(folder)


def test_a_missing_file(folder):
    for path in files(folder):
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises(UserError, match=rf"{path.name}(: is missing| does not exist)"):
            verify(folder)
        path.write_bytes(whole)
    verify(folder)


@pytest.mark.parametrize("name", ["more.txt", "samples/99.png", ".hidden", "new/model.onnx"])
def test_a_file_too_many(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("more")
    with pytest.raises(UserError, match=f"{name}: is not in the manifest"):
        verify(folder)


def test_a_link_in_the_place_of_a_file(folder, tmp_path):
    (folder / "labels.json").rename(tmp_path / "labels.json")
    (folder / "labels.json").symlink_to(tmp_path / "labels.json")
    with pytest.raises(UserError, match=r"labels.json: is not a plain file"):
        verify(folder)


def test_everything_wrong_is_listed_at_once(folder):
    (folder / "labels.json").unlink()
    (folder / "MODEL_CARD.md").write_text("# Something else\n")
    (folder / "more").write_text("more")
    with pytest.raises(UserError) as caught:
        verify(folder)
    assert "labels.json: is missing" in str(caught.value)
    assert "more: is not in the manifest" in str(caught.value)
    assert "MODEL_CARD.md: has 17 bytes, the manifest says " in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "names no schema"),
        ("{}", "names no schema"),
        ('{"schema": "1"}', "names no schema"),
        ('{"schema": 0}', "names no schema"),
        ('{"schema": 2}', "has schema 2, and this version knows 1 at most; install a newer"),
        ('{"schema": 1}', "does not say of itself what it has to .*'files'"),
        (
            '{"schema": 1, "files": {"labels.json": {"bytes": "1"}}}',
            "does not say of itself what it has to",
        ),
        ('{"schema": 1, "files": [1]}', "does not say of itself|is not what its sender made"),
    ],
)
def test_a_manifest_of_another_kind(folder, text, message):
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
    ],
)
def test_a_sealed_manifest_of_another_model(folder, key, value):
    reseal(folder, **{key: value})
    with pytest.raises(UserError, match=f"  {key}: model.onnx says "):
        verify(folder)


def test_sealed_labels_in_another_order(folder):
    labels = json.loads((folder / "labels.json").read_text())
    (folder / "labels.json").write_text(json.dumps(labels[::-1]))
    reseal(folder)
    with pytest.raises(UserError, match=r"  classes: model.onnx says "):
        verify(folder)


@pytest.mark.parametrize(("rows", "factor"), [(-1, 1.0), (1, 1.01)], ids=["others", "almost"])
def test_a_sealed_model_of_other_weights(folder, rows, factor):
    """Also one whose labels are all the same still."""
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        if tensor.dims == [10, 256]:
            values = onnx.numpy_helper.to_array(tensor)[::rows] * np.float32(factor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, folder / "model.onnx")
    reseal(folder)
    with pytest.raises(UserError, match=r"samples/00.png: should be "):
        verify(folder)


def test_a_sealed_file_that_is_no_model(folder):
    (folder / "model.onnx").write_text("not a model")
    reseal(folder)
    with pytest.raises(UserError, match="is not a model that onnxruntime can run"):
        verify(folder)


def test_the_command(run, folder):
    result = run("verify", folder)
    assert result.returncode == 0, result.stderr
    assert "4 samples reproduce" in result.stdout
    assert sha256(folder / "manifest.json") in result.stdout
    (folder / "labels.json").unlink()
    for wrong, message in ((folder, "labels.json: is missing"), ("none", "is not a folder")):
        result = run("verify", wrong)
        assert result.returncode == 1
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
        assert "Traceback" not in result.stderr


def test_neither_torch_nor_onnx_is_needed(folder, tmp_path):
    code = "import sys; from alexnet.cli.main import app; app()"
    for name in ("torch", "onnx", "safetensors", "sklearn"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('not installed')")
    path = os.pathsep.join([str(tmp_path), os.getcwd()])
    for arguments in (["verify", folder], ["predict", folder, folder / "samples"]):
        result = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
