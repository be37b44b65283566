"""Weights on disk."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from alexnet.errors import UserError
from alexnet.weights import Card, build, load_weights, save_weights


@pytest.fixture
def saved(tmp_path, card):
    model = build(card, dropout=0.5).to(memory_format=torch.channels_last)
    path = tmp_path / "models" / "weights.safetensors"
    save_weights(path, model, card)
    return path, model


def test_round_trip(saved, card):
    path, model = saved
    loaded, loaded_card = load_weights(path)
    assert loaded_card == card
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert list(path.parent.iterdir()) == [path], "nothing temporary is left"


def test_the_same_weights_are_the_same_bytes(saved, tmp_path, card):
    path, model = saved
    save_weights(tmp_path / "again", model, card)
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


def test_weights_that_are_not_finite(saved, card):
    path, model = saved
    with torch.no_grad():
        model.conv3.weight[0, 0, 0, 0] = float("nan")
    save_weights(path, model, card)
    with pytest.raises(UserError, match=r"conv3.weight holds values that are not finite"):
        load_weights(path)


def test_the_file_is_plain_safetensors(saved):
    path, model = saved
    assert torch.equal(load_file(path)["fc3.bias"], model.fc3.bias)


def test_images_that_a_variant_cannot_take():
    card = Card("one-weird-trick", ("a", "b"), 32, (0.5,), (0.5,))
    with pytest.raises(UserError, match=r"at least 63x63 pixels, got 32x32; change model.variant"):
        build(card, dropout=0.0)
