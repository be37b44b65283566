"""Receptive fields: the pixels that a unit's gradient reaches are those of the table."""

import pytest
import torch
from torch import nn

from alexnet.network.model import VARIANTS
from alexnet.network.summary import summarize


def positive_network(variant):
    """The network with one channel, in which no pixel's gradient vanishes by chance.

    All weights are positive, so that contributions never cancel and every ReLU is active, and
    a pool takes the mean of its window, of which a maximum would use one pixel alone.
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


def span(layer, place, size):
    """The rows (or columns) of the image that the table states for a place of the map."""
    start = layer.receptive_field_start + place * layer.receptive_field_stride
    return slice(max(0, start), min(size, start + layer.receptive_field))


# 131: the default variant on images so large that the fields of deep layers fit in.
@pytest.mark.parametrize(
    ("variant", "size"),
    [("cifar", 32), ("cifar", 131), ("imagenet-2012", 227), ("one-weird-trick", 224)],
)
def test_a_gradient_reaches_exactly_the_square_of_the_table(variant, size):
    with torch.device("meta"):
        layers = [layer for layer in summarize(VARIANTS[variant](), size) if layer.kernel]
    x = torch.ones(1, 1, size, size, requires_grad=True)
    outputs, y = {}, x
    for name, layer in positive_network(variant).named_children():
        if name in ("avgpool", "flatten"):
            break
        y = outputs[name] = layer(y)
    assert [layer.name for layer in layers] == [
        name for name in outputs if name.startswith(("conv", "pool"))
    ]
    num_inside = 0  # squares with all four sides inside the image
    for layer in layers:
        _, height, width = layer.output_shape
        # Corners, and off the diagonal: rows and columns are not mixed up.
        units = {(0, width // 2), (height // 2, width - 1), (height - 1, 0)}
        for row, column in units | {(height // 2, width // 2)}:
            unit = outputs[layer.name][0, 0, row, column]
            (gradient,) = torch.autograd.grad(unit, x, retain_graph=True)
            expected = torch.zeros(size, size, dtype=torch.bool)
            expected[span(layer, row, size), span(layer, column, size)] = True
            assert torch.equal(gradient[0, 0] != 0, expected), (layer.name, row, column)
            num_inside += int(expected.sum()) == layer.receptive_field**2
    assert num_inside >= (0 if size == 32 else 1)


def test_receptive_fields_by_hand():
    """conv1 has 11 pixels, from 4 before the image on; from conv2 on neighbours are 4 apart."""
    with torch.device("meta"):
        rows = {row.name: row for row in summarize(VARIANTS["cifar"]())}
    fields = {name: rows[name].receptive_field for name in ("conv1", "conv2", "pool2", "conv3")}
    assert fields == {"conv1": 11, "conv2": 11 + 4 * 4, "pool2": 27 + 2 * 4, "conv3": 35 + 2 * 8}
    assert (rows["conv1"].receptive_field_start, rows["conv1"].receptive_field_stride) == (-4, 4)
    # A window around a unit has the unit's centre.
    assert [rows[name].receptive_field_centre for name in ("conv1", "conv2")] == [1.5, 1.5]
    assert rows["fc1"].receptive_field is rows["fc1"].receptive_field_centre is None
