"""The receiver's check finds every change of an artifact and reports it plainly."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from alexnet.errors import UserError
from alexnet.files import sha256
from alexnet.inference import verification
from alexnet.inference.model_check import check_model
from alexnet.inference.verification import verify
from tests.conftest import ROOT
from tests.inference.hostile import write
from tests.inference.hostile_samples import a_computation_that_gives_no_number


@pytest.fixture
def folder(artifact, tmp_path):
    """An artifact as received, for a test to damage."""
    return shutil.copytree(artifact, tmp_path / "artifacts")


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_an_artifact_as_exported(folder):
    result = verify(folder)
    assert result.num_files == len(files(folder))
    assert result.num_samples == len(json.loads((folder / "samples/expected.json").read_text()))
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


def test_all_errors_are_listed_at_once(folder):
    (folder / "labels.json").unlink()
    (folder / "MODEL_CARD.md").write_text("# Something else\n")
    (folder / "more").write_text("more")
    with pytest.raises(UserError) as caught:
        verify(folder)
    assert "labels.json: is missing" in str(caught.value)
    assert "more: is not in the manifest" in str(caught.value)
    assert "MODEL_CARD.md: has 17 bytes, expected " in str(caught.value)


# What nobody can check without the data; the parameters, as trained, are compared to a tenth.
CLAIMS = {"data", "metrics", "verification", "parameters"}
CLAIMS |= {"accuracy", "accuracy_drop", "label_change_rate", "max_logit_difference"}


def leaves(value, path=()):
    """Each value that is neither a list nor an object, by the keys that lead to it."""
    if isinstance(value, dict | list) and value:
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    elif CLAIMS.isdisjoint(path):
        yield path


def test_whatever_the_manifest_says_is_checked(folder, monkeypatch):
    """Each value changed to another of its type, by a dishonest sender."""

    def check(module, arguments, *limits):
        return check_model(*arguments)  # quicker

    monkeypatch.setattr(verification, "run_limited", check)
    text = (folder / "manifest.json").read_text()
    paths = list(leaves(json.loads(text)))
    assert len(paths) > 50
    unchecked = []
    for *path, last in paths:
        manifest = parent = json.loads(text)
        for key in path:
            parent = parent[key]
        match parent[last]:
            case bool() as value:
                parent[last] = not value
            case int() as value:
                parent[last] = value + 1
            case str() as value:
                parent[last] = value[:-1] + ("1" if value[-1:] == "0" else "0")
            case _:
                parent[last] = "x"
        write(folder, manifest)
        with suppress(UserError):
            verify(folder)
            unchecked.append([*path, last])
    assert unchecked == []
    write(folder, json.loads(text))
    verify(folder)


def test_the_command(run, folder):
    result = run("verify", folder)
    assert result.returncode == 0, result.stderr
    assert "is verified" in result.stdout
    assert "reproduce 4 samples" in result.stdout
    assert sha256(folder / "manifest.json") in result.stdout
    assert "its sender is not verified: no signature lies beside it" in result.stdout
    folder.with_name("artifacts.sig").touch()
    assert "artifacts.sig beside it was not checked" in run("verify", folder).stdout
    (folder / "labels.json").unlink()
    for path, message in ((folder, "labels.json: is missing"), ("none", "is not a folder")):
        result = run("verify", path)
        assert result.returncode == 1
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
        assert "Traceback" not in result.stderr


def test_modules_of_the_current_folder_are_not_imported(folder, tmp_path):
    """Not in the process that opens the model either."""
    for name in ("onnxruntime", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("open('imported', 'w')")
    command = [sys.executable, "-P", "-m", "alexnet.cli.main", "verify", "artifacts"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "imported").exists()


def test_a_model_that_gives_no_numbers_classifies_nothing(folder, run):
    a_computation_that_gives_no_number(folder)
    result = run("predict", folder, folder / "samples")
    assert (result.returncode, len(result.stdout.splitlines())) == (1, 1)  # the header alone
    assert "model.onnx gives values that are no numbers (NaN or infinity)" in result.stderr


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
