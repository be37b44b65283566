from math import sqrt

import pytest
from matplotlib.patches import FancyBboxPatch

from alexnet import describe as description
from alexnet.describe import describe
from alexnet.figures.diagram import architecture, operation
from alexnet.figures.style import KINDS
from alexnet.model import VARIANTS

from .layout import all_text, assert_legible

CASES = [
    ("cifar", 3, 10), ("cifar", 1, 10), ("one-weird-trick", 3, 1000), ("imagenet-2012", 3, 1000),
    ("imagenet-2012", 1, 100),
]  # fmt: skip


def draw(variant: str, in_channels: int = 3, num_classes: int = 10):
    model = VARIANTS[variant](num_classes=num_classes, in_channels=in_channels)
    layers = describe(model)
    side = model.image_size
    return layers, architecture(layers, variant, (in_channels, side, side))


@pytest.mark.parametrize(("variant", "in_channels", "num_classes"), CASES)
def test_legible_and_complete(variant, in_channels, num_classes):
    layers, figure = draw(variant, in_channels, num_classes)
    assert_legible(figure)
    text = all_text(figure)
    for layer in layers:
        assert layer.name in text
        assert " × ".join(map(str, layer.output_shape)) in text
        assert not layer.parameters or f"{layer.parameters:,}" in text


def test_totals_and_conditions_are_stated():
    text = all_text(draw("cifar")[1])
    assert "58,322,314 parameters and 248 MFLOP for one image of 3 × 32 × 32" in text
    assert "variant cifar" in text
    assert "beyond 32×32 it reaches into the padding" in text


def test_blocks_are_as_wide_as_the_root_of_their_values():
    _, figure = draw("cifar")
    blocks = list(figure.findobj(FancyBboxPatch))
    widths = [block.get_path().get_extents().width for block in blocks]
    conv1, conv2 = 1, 3  # 96 x 8 x 8 and 256 x 8 x 8, behind the input and relu1
    assert widths[conv1] / widths[conv2] == pytest.approx(sqrt(96 / 256))
    assert widths[0] / widths[conv2] == pytest.approx(sqrt(3 * 32 * 32 / (256 * 8 * 8)))
    assert widths[-1] / widths[conv2] == pytest.approx(sqrt(10 / (256 * 8 * 8)))


def test_operations_are_spelled_out():
    words = {layer.name: operation(layer) for layer in draw("imagenet-2012")[0]}
    assert words["conv1"] == "conv 11×11, stride 4"
    assert words["conv2"] == "conv 5×5, stride 1, pad 2, 2 groups"
    assert words["pool1"] == "max pool 3×3, stride 2"
    assert words["lrn1"] == "local response normalisation"


def test_every_kind_of_layer_has_a_colour():
    assert set(description._KINDS.values()) == set(KINDS)


def test_legend_names_only_the_kinds_that_occur():
    assert "local response" not in all_text(draw("cifar")[1])
    assert "local response" in all_text(draw("imagenet-2012")[1])
