"""Receptive fields, measured: what a unit's gradient reaches is what the table claims."""

import pytest
import torch
from torch import nn

from alexnet.network.model import VARIANTS
from alexnet.network.summary import summarize


def seeing_everything(variant):
    """The network with nothing that could hide a pixel by chance, and with one channel.

    All weights are positive, so that contributions never cancel and every ReLU passes, and
    a pool takes the mean of its window, of which its maximum would see one pixel alone.
    """
    with torch.device("meta"):
        model = VARIANTS[variant](num_classes=2)
    for name, layer in list(model.named_children()):
        if isinstance(layer, nn.Conv2d):
            one = nn.Conv2d(1, 1, layer.kernel_size, layer.stride, layer.padding)
            nn.init.constant_(one.weight, 1 / one.weight.numel())
            nn.init.zeros_(one.bias)
            setattr(model, name, one.requires_grad_(False))
        elif isinstance(layer, nn.MaxPool2d):
            setattr(model, name, nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding))
    return model


def reached(x, output, row, column):
    """The pixels that the gradient of one unit reaches: bool (H, W)."""
    (gradient,) = torch.autograd.grad(output[0, 0, row, column], x, retain_graph=True)
    return (gradient[0] != 0).any(dim=0)


def span(layer, place, size):
    """The rows (or columns) of the image that the table claims for a place of the map."""
    start = layer.receptive_field_start + place * layer.receptive_field_stride
    return slice(max(0, start), min(size, start + layer.receptive_field))


# 131: the default variant on images so large that the fields of deep layers fit in.
@pytest.mark.parametrize(
    ("variant", "size"),
    [("cifar", 32), ("cifar", 131), ("imagenet-2012", 227), ("one-weird-trick", 224)],
)
def test_a_unit_reaches_exactly_the_square_that_the_table_claims(variant, size):
    model = seeing_everything(variant)
    with torch.device("meta"):
        table = summarize(VARIANTS[variant](), size)
    windowed = [layer for layer in table if layer.kernel]
    x = torch.ones(1, 1, size, size, requires_grad=True)
    outputs = {}
    y = x
    for name, layer in model.named_children():
        if name == "flatten":
            break
        y = outputs[name] = layer(y)
    assert {layer.name for layer in windowed} == {
        name for name in outputs if name.startswith(("conv", "pool"))
    }
    whole = 0  # squares that lie in the image as a whole, so that all four sides are held
    for layer in windowed:
        _, height, width = layer.output_shape
        # Corners, and off the diagonal: rows and columns are not mixed up.
        units = {(0, width // 2), (height // 2, width - 1), (height - 1, 0)}
        for row, column in units | {(height // 2, width // 2)}:
            found = reached(x, outputs[layer.name], row, column)
            expected = torch.zeros(size, size, dtype=torch.bool)
            expected[span(layer, row, size), span(layer, column, size)] = True
            assert torch.equal(found, expected), (layer.name, row, column)
            whole += int(expected.sum()) == layer.receptive_field**2
    assert whole >= (0 if size == 32 else 1)


def test_the_centre_of_a_field():
    """conv1 of the default looks at 11 pixels from 4 before the image on: -4 to 7."""
    with torch.device("meta"):
        rows = {row.name: row for row in summarize(VARIANTS["cifar"]())}
    assert (rows["conv1"].receptive_field_start, rows["conv1"].receptive_field_stride) == (-4, 4)
    assert rows["conv1"].receptive_field_centre == 1.5
    assert rows["conv2"].receptive_field_centre == 1.5, (
        "a window around a unit has the unit's centre"
    )
    assert rows["fc1"].receptive_field_centre is None
