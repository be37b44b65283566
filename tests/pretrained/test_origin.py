"""What model.start_from may name, and what is said of everything else."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from alexnet.errors import UserError
from alexnet.files import sha256
from alexnet.network import weights
from alexnet.network.weights import save_weights
from alexnet.pretrained.origin import read_parent
from tests.conftest import METADATA
from tests.runs import narrow


@pytest.fixture
def saved(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(weights, "build", lambda metadata, dropout: narrow())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    save_weights(tmp_path / "my.safetensors", narrow(), METADATA)
    return tmp_path / "my.safetensors"


@pytest.mark.parametrize("name", ["my.safetensors", "~/my.safetensors", "./my.safetensors"])
def test_a_file_of_weights(saved, name):
    parent, model, metadata = read_parent(name)
    assert (parent.kind, parent.sha256) == ("weights", sha256(saved))
    assert metadata == METADATA
    save_weights(saved.with_name("again"), model, metadata)
    assert saved.with_name("again").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("name", ["", "model.onnx"])
def test_an_artifact_by_its_folder_or_its_model(artifact, small, name):
    assert read_parent(str(artifact / name)).parent.sha256 == sha256(artifact / "model.onnx")


def write_others(folder: Path, artifact: Path) -> None:
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    torch.save({"x": torch.zeros(1)}, folder / "x.pth")
    torch.save({"x": torch.zeros(1)}, folder / "old", _use_new_zipfile_serialization=False)
    (folder / "text").write_text("conv1")
    shutil.copy(artifact / "model.onnx", folder)
    save_file({"x": torch.zeros(1)}, folder / "x.safetensors")
    model = narrow()
    model.conv2.bias.data[3] = torch.nan
    save_weights(folder / "nan.safetensors", model, METADATA)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no", "no does not exist; model.start_from takes imagenet, "),
        ("empty", "empty is empty; model.start_from takes"),
        ("folder", "folder is no exported artifact, for it has no manifest.json; model.start_from"),
        (
            "x.pth",
            "x.pth is a zip archive, as torch.save writes one: a pickle, which may run code (if it "
            "is torchvision's alexnet, start from imagenet, and name the file in model.start_sourc",
        ),
        ("old", "old is a pickle, which may run code (if it is"),
        ("text", "text does not hold weights of this project's networks (Error while deserial"),
        ("model.onnx", "model.onnx is a model without its folder, or in a lower precision; name"),
        (
            "x.safetensors",
            "x.safetensors does not hold weights of this project's networks (no metadata of this",
        ),
        ("nan.safetensors", "nan.safetensors: conv2.bias holds values that are not finite; start"),
        ("/dev/null", "/dev/null is no plain file; model.start_from takes"),
        ("C:\\w", "C:\\w does not exist; it is a path of Windows, which WSL has as /mnt/c/...; "),
        ("https://a.org/x", "https://a.org/x is an address; name the path of a copy"),
    ],
)
def test_anything_else_is_named(saved, artifact, name, message):
    write_others(saved.parent, artifact)
    with pytest.raises(UserError) as caught:
        read_parent(name)
    assert str(caught.value).startswith(f"model.start_from: {message}")
    assert "\n" not in str(caught.value)


def test_a_message_names_what_was_asked_for(saved, artifact):
    fetched = shutil.copytree(artifact, saved.with_name("fetched")) / "model.onnx"
    fetched.write_bytes(b"")
    with pytest.raises(UserError, match=r"^model\.start_from: main:artifacts differs from what it"):
        read_parent("main:artifacts/model.onnx", fetched)
    with pytest.raises(UserError, match=r"^model\.start_from: main:my does not exist; "):
        read_parent("main:my", saved.with_name("nothing"))
