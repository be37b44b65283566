"""The drawings of the network: as a table of blocks, as volumes, and its costs."""

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from matplotlib.patches import FancyBboxPatch, Polygon

from alexnet.network.model import VARIANTS
from alexnet.network.summary import KINDS as SUMMARY_KINDS
from alexnet.network.summary import summarize
from alexnet.progress import format_seconds
from alexnet.report.costs import costs
from alexnet.report.diagram import architecture
from alexnet.report.layers import operation
from alexnet.report.style import KINDS, save_file
from alexnet.report.volumes import DRAWN, volumes
from tests.batch_norm import AlexNetBatchNorm
from tests.conftest import ROOT

from .conftest import of_unknown_kind
from .layout import all_text, assert_legible

# Each variant at its own size and at the ends of what it takes; and long numbers.
QUICK = [
    ("cifar", 32, 3, 10), ("imagenet-2012", 227, 3, 1000), ("one-weird-trick", 1024, 3, 21_841),
]  # fmt: skip
OTHERS = [
    ("cifar", 27, 1, 2), ("one-weird-trick", 224, 3, 1000), ("batch-norm", 32, 3, 10),
    ("cifar", 227, 3, 100), ("cifar", 1024, 3, 100_000), ("imagenet-2012", 258, 1, 2),
    ("one-weird-trick", 63, 3, 10),
]  # fmt: skip
CASES = QUICK + [pytest.param(*case, marks=pytest.mark.slow) for case in OTHERS]
NETWORKS = VARIANTS | {"batch-norm": AlexNetBatchNorm}


def layers_of(variant, size=None, in_channels=3, num_classes=10):
    with torch.device("meta"):
        model = NETWORKS[variant](num_classes=num_classes, in_channels=in_channels)
    size = size or model.image_size
    return summarize(model, size), (in_channels, size, size)


def draw(picture, variant, *arguments, **options):
    layers, input_shape = layers_of(variant, *arguments, **options)
    return picture(layers, variant, input_shape)


@pytest.mark.parametrize(("variant", "size", "in_channels", "num_classes"), CASES)
def test_both_drawings_are_legible_and_complete(variant, size, in_channels, num_classes):
    layers, input_shape = layers_of(variant, size, in_channels, num_classes)
    figure = architecture(layers, variant, input_shape)
    assert_legible(figure)
    text = all_text(figure)
    for layer in layers:
        assert layer.name in text
        assert " × ".join(map(str, layer.output_shape)) in text
        assert not layer.parameters or f"{layer.parameters:,}" in text
        assert not layer.kernel or operation(layer) in text
        assert not layer.receptive_field or f"{layer.receptive_field}×" in text

    figure = volumes(layers, variant, input_shape)
    assert_legible(figure)
    text = all_text(figure)
    for layer in layers:
        if layer.kind not in DRAWN:
            assert KINDS[layer.kind][0] in text.split("Not drawn:")[1]
            continue
        assert layer.name in text
        if len(layer.output_shape) == 3:
            number, height, width = layer.output_shape
            assert f"{number} maps {height} × {width}" in text
        assert layer.kind == "fc" or operation(layer).replace(",", "") in text


@pytest.mark.parametrize("picture", [architecture, volumes])
def test_a_kind_without_a_colour_is_an_error_that_names_the_layer(picture):
    layers, input_shape = layers_of("cifar")
    with pytest.raises(ValueError, match="layer head of kind 'attention'"):
        picture(of_unknown_kind(layers), "cifar", input_shape)
    assert set(SUMMARY_KINDS.values()) == set(KINDS)


@pytest.mark.parametrize("picture", [architecture, volumes])
def test_the_same_network_gives_the_same_bytes(picture, tmp_path):
    for suffix in ("svg", "pdf"):
        one, two = (tmp_path / f"{name}.{suffix}" for name in ("one", "two"))
        for path in (one, two):
            save_file(draw(picture, "cifar"), path)
        assert one.read_bytes() == two.read_bytes(), suffix


@pytest.mark.parametrize("picture", [architecture, volumes])
def test_the_readme_shows_the_network_as_it_is(picture, tmp_path):
    save_file(draw(picture, "cifar"), tmp_path / "drawn.png")
    paths = tmp_path / "drawn.png", ROOT / "docs" / "images" / f"{picture.__name__}.png"
    drawn, published = map(imread, paths)
    assert drawn.shape == published.shape
    assert np.abs(drawn - published).mean() < 0.001


# The table of blocks


def test_blocks_stay_clear_of_the_text_beside_them():
    """Also where an operation takes many words and a number many digits."""
    figure = draw(architecture, "imagenet-2012", 258, 3, 100_000)
    texts = [
        text.get_window_extent()
        for text in figure.axes[0].texts
        if text.get_text() not in {"", "logits"}
    ]
    for block in figure.findobj(FancyBboxPatch):
        box = block.get_window_extent()
        assert not any(box.overlaps(text) for text in texts)


def test_totals_fields_and_operations_in_words():
    text = all_text(draw(architecture, "cifar"))
    assert "58,322,314 parameters and 248 MFLOP for one forward pass" in text
    assert "variant cifar" in text
    assert "beyond 32×32 extends into the padding" in text
    assert "local response" not in text
    other = all_text(draw(architecture, "imagenet-2012"))
    assert "extends into the padding" not in other
    assert "local response" in other
    words = {layer.name: operation(layer) for layer in layers_of("imagenet-2012")[0]}
    assert words["conv1"] == "conv 11×11, stride 4"
    assert words["conv2"] == "conv 5×5, stride 1, pad 2, 2 groups"
    assert words["pool1"] == "max pool 3×3, stride 2"
    assert words["lrn1"] == "local response normalisation"


def test_blocks_are_scaled_by_the_cube_roots_of_maps_and_side():
    figure = draw(architecture, "cifar")
    extents = [block.get_path().get_extents() for block in figure.findobj(FancyBboxPatch)]
    image, conv1, _, conv2 = extents[:4]  # 3 x 32 x 32, 96 x 8 x 8, its ReLU, 256 x 8 x 8
    assert conv1.width / image.width == pytest.approx((96 / 3) ** (1 / 3))
    assert conv2.width / conv1.width == pytest.approx((256 / 96) ** (1 / 3))
    assert image.height / conv1.height == pytest.approx((32 / 8) ** (1 / 3))
    assert conv2.height == pytest.approx(conv1.height)


# Volumes


def parallelograms(figure):
    """The faces and windows in the order in which they are drawn, each (4, 2) in inches."""
    return [patch.get_xy()[:4] for patch in figure.findobj(Polygon)]


def sides(corners):
    return np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[1])


def test_boxes_and_windows_are_to_scale():
    shapes = parallelograms(draw(volumes, "imagenet-2012", num_classes=1000))
    # The input has 3 faces; each box after it a window on the one before, and 3 faces.
    front, window = shapes[0::4], shapes[3::4]
    tensors = [(96, 55), (96, 27), (256, 27), (256, 13), (384, 13), (384, 13), (256, 13), (256, 6)]
    for i, (maps, side) in enumerate(tensors, start=1):
        assert sides(front[i])[0] / sides(front[1])[0] == pytest.approx(maps / 96)
        assert sides(front[i])[1] / sides(front[0])[1] == pytest.approx(side / 227)
    # conv1's 11x11 window of the image, then pool1's 3x3 of conv1, conv2's 5x5 of pool1.
    for i, kernel in enumerate([11, 3, 5, 3, 3, 3, 3, 3]):
        assert sides(window[i])[1] / sides(front[0])[1] == pytest.approx(kernel / 227)
    # fc1's window is all of pool5; its vector is 4.096 times as long as fc3's.
    whole, fc1, _, fc2, _, fc3 = shapes[-6:]
    assert sides(whole)[1] / sides(front[0])[1] == pytest.approx(6 / 227)
    assert sides(fc1)[1] == pytest.approx(sides(fc2)[1])
    assert sides(fc1)[1] / sides(fc3)[1] == pytest.approx(4.096)


def test_a_window_is_drawn_no_larger_than_its_map():
    """fc1 aside; at 27 pixels pool5 makes 1x1 of conv5's 3x3."""
    shapes = parallelograms(draw(volumes, "cifar", 27))
    for window, right in zip(shapes[3::4], shapes[2::4], strict=False):
        assert sides(window)[1] <= sides(right)[1] * (1 + 1e-9)


def test_title_and_caption_of_the_volumes():
    text = all_text(draw(volumes, "cifar"))
    assert "32×32 pixels of 3 channels become 256 maps of 1×1" in text
    assert "Not drawn: ReLU, dropout, flatten." in text
    assert "2 groups" in all_text(draw(volumes, "imagenet-2012"))


# Costs


def test_costs_are_shares_of_the_operations_and_of_the_time(run):
    """The time is the same for each layer here."""
    figure = costs(run.trained_layers, run.times, "cpu", is_folded=True)
    text = all_text(figure)
    backward = {"conv1": 2}  # the gradient of the image is not needed
    flops = {x.name: x.flops * backward.get(x.name, 3) for x in run.layers if x.flops}
    assert "without the batch normalisation" in text
    share = 100 * flops["conv2"] / sum(flops.values())
    assert f"{share:.1f} %" in text
    assert f"{100 / len(run.times):.1f} %" in text
    assert f"{format_seconds(40e-6 * len(run.times))} in total" in text
    assert_legible(figure)
