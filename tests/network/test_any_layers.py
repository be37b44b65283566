"""Layers that the three variants do not have: each reader handles them or names them."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from alexnet.errors import UserError
from alexnet.network.collapse import (
    can_collapse,
    collapse_for_inference,
    collapse_for_training,
    expand_pool_copies,
    num_copies,
)
from alexnet.network.cost import saved_activation_bytes, training_memory
from alexnet.network.model import VARIANTS
from alexnet.network.reference.network import with_reference_operations
from alexnet.network.summary import num_parameters, summarize
from alexnet.network.weights import load_weights, save_weights
from tests.batch_norm import AlexNetBatchNorm
from tests.runs import narrow


@pytest.fixture
def model():
    """Its running means and variances are those of a few batches."""
    torch.manual_seed(0)
    model = AlexNetBatchNorm()
    for _ in range(3):
        model(torch.randn(8, 3, 32, 32) + 1)
    return model


def inserted(model, after, layer):
    """The model with one more layer."""
    layers = list(model._modules.items())
    place = 1 + [name for name, _ in layers].index(after)
    model._modules = dict([*layers[:place], ("extra", layer), *layers[place:]])
    return model


def test_the_summary_counts_parameters_and_no_buffers(model):
    rows = {row.name: row for row in summarize(model)}
    assert (rows["bn1"].kind, rows["bn1"].parameters, rows["bn1"].macs) == ("batch norm", 16, 0)
    assert rows["bn6"].parameters == 64
    assert rows["bn1"] == replace(rows["relu1"], name="bn1", kind="batch norm", parameters=16)
    assert sum(row.parameters for row in rows.values()) == num_parameters(model)
    assert model.bn1.num_batches_tracked == 3


@pytest.mark.parametrize(
    ("read", "layer", "message"),
    [
        (summarize, nn.GELU(), r"layer extra \(GELU\): no kind for it; add it to summary\.KINDS"),
        (summarize, nn.Sequential(nn.ReLU()), r"layer extra \(Sequential\): no kind"),
        (summarize, nn.Conv2d(6, 6, (1, 3)), r"layer extra \(Conv2d\): kernel_size \(1, 3\)"),
        (summarize, nn.Conv2d(6, 6, 3, padding="same"), r"\(Conv2d\): padding same; .* in numbers"),
        (summarize, nn.MaxPool2d(2, dilation=2), r"\(MaxPool2d\): dilation 2; .* without dilation"),
        (with_reference_operations, nn.BatchNorm2d(6), r"extra \(BatchNorm2d\): no reference oper"),
        (with_reference_operations, nn.Conv2d(6, 6, (1, 3)), r"\(Conv2d\): kernel_size \(1, 3\)"),
        (with_reference_operations, nn.MaxPool2d(2, ceil_mode=True), r"\(MaxPool2d\): .* down"),
        (with_reference_operations, nn.AdaptiveAvgPool2d((1, 2)), r"\(AdaptiveAvgPool2d\): .* sq"),
        (
            with_reference_operations,
            nn.Conv2d(6, 6, 3, padding_mode="reflect"),
            r"\(Conv2d\): .* zeros",
        ),
    ],
)
def test_a_layer_that_cannot_be_read_is_named(read, layer, message):
    with pytest.raises(UserError, match=message):
        read(inserted(narrow(), "conv1", layer))


def test_saved_activations_and_training_memory(model):
    saved = saved_activation_bytes(model, 32, 2)
    assert saved == saved_activation_bytes(model, 32, 2, device="cpu")
    # Its input, with a mean and a deviation for each channel; running values are no activations.
    assert saved["bn1"] == 4 * (2 * 8 * 8 * 8 + 2 * 8)
    assert training_memory(model, 32, 2).weights == 4 * num_parameters(model)
    with pytest.raises(UserError, match=r"layer bn6 \(BatchNorm1d\), batch size 1: Expected more"):
        saved_activation_bytes(model, 32, 1)


@torch.no_grad()
def test_collapsing_shares_buffers_and_keeps_the_logits(model):
    x = torch.randn(8, 3, 32, 32)
    before = model.eval()(x)
    torch.testing.assert_close(collapse_for_inference(model)(x), before, rtol=1e-4, atol=1e-5)
    collapsed = collapse_for_training(model)
    torch.testing.assert_close(collapsed(x), before, rtol=1e-4, atol=1e-5)
    collapsed.train()(x)
    assert model.bn1.num_batches_tracked == 4, "the model's own running mean has moved"
    expand_pool_copies(collapsed, model)
    torch.testing.assert_close(model.eval()(x), collapsed.eval()(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("after", "layer", "collapses"),
    [
        ("pool5", nn.BatchNorm2d(16), True),  # before the copies are made
        ("avgpool", nn.BatchNorm2d(16), False),  # sqrt(36) times the values are normalised away
        ("flatten", nn.BatchNorm1d(576), False),  # has 576 weights of its own
        ("dropout1", nn.Dropout(), True),
    ],
)
def test_layers_around_the_average_pool(model, after, layer, collapses):
    inserted(model, after, layer)
    assert num_copies(model, 32) == 36
    assert can_collapse(model, 32) == collapses


def test_weights_hold_buffers_and_integers_keep_their_type(model, metadata, tmp_path, monkeypatch):
    monkeypatch.setitem(VARIANTS, "batch-norm", AlexNetBatchNorm)
    metadata = replace(metadata, variant="batch-norm")
    path = tmp_path / "weights.safetensors"
    save_weights(path, model, metadata)
    loaded, _ = load_weights(path)
    assert loaded.bn1.num_batches_tracked.dtype == torch.int64
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    model.bn1.running_var[3] = float("inf")
    save_weights(path, model, metadata)
    with pytest.raises(UserError, match=r"bn1\.running_var holds values that are not finite"):
        load_weights(path)
    monkeypatch.delitem(VARIANTS, "batch-norm")
    with pytest.raises(UserError, match=r"safetensors: no variant is named batch-norm"):
        load_weights(path)
