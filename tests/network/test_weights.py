"""Weights on disk."""

import json
import resource
from dataclasses import asdict, replace

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from alexnet.errors import UserError
from alexnet.network.weights import build, load_weights, save_weights
from tests.runs import narrow


@pytest.fixture
def path(tmp_path):
    return tmp_path / "models" / "weights.safetensors"


@pytest.fixture
def saved(path, metadata):
    model = build(metadata, dropout=0.5).to(memory_format=torch.channels_last)
    save_weights(path, model, metadata)
    return model


def test_round_trip(path, saved, metadata):
    """Dropout is no part of the weights: a loaded network is in eval mode and has none."""
    loaded, loaded_metadata = load_weights(path)
    assert loaded_metadata == metadata
    assert (loaded.dropout1.p, loaded.training) == (0.0, False)
    stored = load_file(path)  # plain safetensors
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
        assert torch.equal(stored[name], value)
    assert list(path.parent.iterdir()) == [path], "nothing temporary is left"


def test_the_same_weights_are_the_same_bytes_in_any_type_and_layout(tmp_path, metadata):
    model = narrow().to(torch.bfloat16)
    files = [tmp_path / "one", tmp_path / "two"]
    save_weights(files[0], model.to(memory_format=torch.channels_last), metadata)
    save_weights(files[1], model.float().to(memory_format=torch.contiguous_format), metadata)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert {value.dtype for value in load_file(files[0]).values()} == {torch.float32}


def test_a_missing_file(path):
    with pytest.raises(UserError, match="does not exist; run the stage that writes it"):
        load_weights(path)


def test_a_damaged_file(path, saved):
    whole = path.read_bytes()
    for size in (0, 4, 1000, 1_000_000):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match="does not hold weights of this project's networks"):
            load_weights(path)
    save_file({"x": torch.zeros(3)}, path)
    with pytest.raises(UserError, match=r"does not hold weights.*no metadata of this project"):
        load_weights(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": []}, "classes: Tuple should have at least 1 item"),
        ({"classes": ["a"] * 10}, "classes: should be different names"),
        ({"classes": ["\x1b[31m"] * 10}, r"classes.0: the class name '\\u001b\[31m' has"),
        ({"mean": ["0.5"] * 3}, "mean.0: should be a valid number"),
        ({"std": [0.2, 0.0, 0.2]}, "std.1: should be greater than 0"),
        ({"std": [0.2]}, "mean, std: should have a value for each channel"),
        ({"image_size": -1}, "image_size: should be greater than or equal to 1"),
    ],
)
def test_a_header_of_impossible_values(tmp_path, metadata, changes, message):
    """It is read first: the tensors after it do not matter."""
    path = tmp_path / "weights.safetensors"
    save_file({"x": torch.zeros(3)}, path, {"card": json.dumps(asdict(metadata) | changes)})
    with pytest.raises(UserError, match=rf"safetensors: its header: {message}.*; train again"):
        load_weights(path)


def test_weights_that_are_not_finite(path, saved, metadata):
    with torch.no_grad():
        saved.conv3.weight[0, 0, 0, 0] = float("nan")
    save_weights(path, saved, metadata)
    with pytest.raises(UserError, match=r"conv3.weight holds values that are not finite"):
        load_weights(path)


def test_images_that_a_variant_does_not_take(metadata):
    with pytest.raises(UserError, match=r"at least 63x63 pixels, got 32x32; change model.variant"):
        build(replace(metadata, variant="one-weird-trick"), dropout=0.0)


def test_a_full_disk_is_an_error_of_the_system(path, metadata, monkeypatch):
    """safetensors has an error of its own for it. The file that stood there stays."""
    path.parent.mkdir()
    path.write_text("before")

    def full(tensors, path, metadata):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("alexnet.network.weights.save_file", full)
    with pytest.raises(OSError, match=r"weights\.safetensors could not be .*No space left"):
        save_weights(path, narrow(), metadata)
    assert path.read_text() == "before"
    assert list(path.parent.iterdir()) == [path], "nothing temporary is left"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc3.bias": torch.zeros(3)}, "other layers or sizes: fc3.bias"),
        ({"fc4.bias": torch.zeros(3)}, "other layers or sizes: fc4.bias"),
        ({"fc3.bias": torch.zeros(10, dtype=torch.float64)}, "another type of numbers: fc3.bias"),
        ({"fc3.bias": torch.zeros(10).to(torch.float8_e4m3fn)}, "another type of numbers: fc3.b"),
    ],
)
def test_tensors_of_another_network(path, saved, metadata, change, message):
    tensors = load_file(path) | change
    save_file(tensors, path, {"card": json.dumps(asdict(metadata))})
    with pytest.raises(UserError) as error:
        load_weights(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_small_file_does_not_make_gigabytes(path, metadata):
    """One whose header claims 300,000 classes: a network of 5 GB."""
    classes = tuple(f"class {number}" for number in range(300_000))
    path.parent.mkdir()
    save_file({}, path, {"card": json.dumps(asdict(replace(metadata, classes=classes)))})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"other layers or sizes: conv1\.bias"):
        load_weights(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # KiB
