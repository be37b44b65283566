"""Weights on disk."""

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from alexnet.errors import UserError
from alexnet.network.weights import ModelMetadata, build, load_weights, save_weights


@pytest.fixture
def saved(tmp_path, metadata):
    model = build(metadata, dropout=0.5).to(memory_format=torch.channels_last)
    path = tmp_path / "models" / "weights.safetensors"
    save_weights(path, model, metadata)
    return path, model


def test_round_trip(saved, metadata):
    path, model = saved
    loaded, loaded_card = load_weights(path)
    assert loaded_card == metadata
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert list(path.parent.iterdir()) == [path], "nothing temporary is left"


def test_the_same_weights_are_the_same_bytes(saved, tmp_path, metadata):
    path, model = saved
    save_weights(tmp_path / "again", model, metadata)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="does not exist; run the stage that writes it"):
        load_weights(tmp_path / "none")


@pytest.mark.parametrize("cut", [0, 4, 1000, 1_000_000])
def test_a_truncated_file(saved, cut):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match="does not hold the weights of a network of ours"):
        load_weights(path)


def test_a_file_of_something_else(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"does not hold the weights.*card"):
        load_weights(path)


def test_weights_that_are_not_finite(saved, metadata):
    path, model = saved
    with torch.no_grad():
        model.conv3.weight[0, 0, 0, 0] = float("nan")
    save_weights(path, model, metadata)
    with pytest.raises(UserError, match=r"conv3.weight holds values that are not finite"):
        load_weights(path)


def test_the_file_is_plain_safetensors(saved):
    path, model = saved
    assert torch.equal(load_file(path)["fc3.bias"], model.fc3.bias)


def test_images_that_a_variant_cannot_take():
    metadata = ModelMetadata("one-weird-trick", ("a", "b"), 32, (0.5,), (0.5,))
    with pytest.raises(UserError, match=r"at least 63x63 pixels, got 32x32; change model.variant"):
        build(metadata, dropout=0.0)


def test_a_full_disk_is_an_error_of_the_system(tmp_path, metadata, monkeypatch):
    """safetensors has a name of its own for it; what stood there before stays."""
    path = tmp_path / "weights.safetensors"
    path.write_text("before")

    def full(tensors, path, metadata):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("alexnet.network.weights.save_file", full)
    with pytest.raises(OSError, match=r"weights\.safetensors could not be .*No space left"):
        save_weights(path, build(metadata, 0.0), metadata)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path], "nothing temporary is left"


def test_weights_of_any_type_and_layout_are_stored_as_float32(tmp_path, metadata):
    model = build(metadata, dropout=0.0).to(torch.bfloat16).to(memory_format=torch.channels_last)
    save_weights(tmp_path / "w.safetensors", model, metadata)
    stored = load_file(tmp_path / "w.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float32}
    assert torch.equal(stored["conv2.weight"], model.conv2.weight.detach().float())


def test_dropout_is_no_part_of_the_weights(tmp_path, metadata):
    """Whatever it was in training, a loaded network is one for inference."""
    save_weights(tmp_path / "w.safetensors", build(metadata, dropout=0.9), metadata)
    loaded, _ = load_weights(tmp_path / "w.safetensors")
    assert (loaded.dropout1.p, loaded.training) == (0.0, False)
