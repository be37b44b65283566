import numpy as np
import pytest
import torch
from matplotlib.image import imread
from matplotlib.patches import FancyBboxPatch

from alexnet.network import summary as description
from alexnet.network.model import VARIANTS
from alexnet.network.summary import summarize
from alexnet.report.diagram import architecture
from alexnet.report.layers import operation
from alexnet.report.style import KINDS, save_file
from tests.conftest import ROOT

from .layout import all_text, assert_legible

# Each variant at its own size and at the ends of what it takes; and long numbers.
CASES = [
    ("cifar", 32, 3, 10), ("cifar", 27, 1, 2), ("cifar", 224, 3, 100), ("cifar", 227, 3, 100),
    ("cifar", 1024, 3, 100_000),
    ("imagenet-2012", 227, 3, 1000), ("imagenet-2012", 258, 1, 2),
    ("one-weird-trick", 224, 3, 1000), ("one-weird-trick", 63, 3, 10),
    ("one-weird-trick", 227, 3, 1000), ("one-weird-trick", 1024, 3, 21_841),
]  # fmt: skip


def draw(variant, size=None, in_channels=3, num_classes=10, picture=architecture):
    with torch.device("meta"):
        model = VARIANTS[variant](num_classes=num_classes, in_channels=in_channels)
    size = size or model.image_size
    layers = summarize(model, size)
    return layers, picture(layers, variant, (in_channels, size, size))


@pytest.mark.parametrize(("variant", "size", "in_channels", "num_classes"), CASES)
def test_legible_and_complete(variant, size, in_channels, num_classes):
    layers, figure = draw(variant, size, in_channels, num_classes)
    assert_legible(figure)
    text = all_text(figure)
    for layer in layers:
        assert layer.name in text
        assert " × ".join(map(str, layer.output_shape)) in text
        assert not layer.parameters or f"{layer.parameters:,}" in text
        assert not layer.kernel or operation(layer) in text
        assert not layer.receptive_field or f"{layer.receptive_field}×" in text


def test_blocks_stay_clear_of_the_text_beside_them():
    """Also where an operation takes many words and a number many digits."""
    _, figure = draw("imagenet-2012", 258, 3, 100_000)
    texts = [
        text.get_window_extent()
        for text in figure.axes[0].texts
        if text.get_text() not in {"", "logits"}
    ]
    for block in figure.findobj(FancyBboxPatch):
        box = block.get_window_extent()
        assert not any(box.overlaps(text) for text in texts)


def test_totals_and_conditions_are_stated():
    text = all_text(draw("cifar")[1])
    assert "58,322,314 parameters and 248 MFLOP for one image of 3 × 32 × 32" in text
    assert "variant cifar" in text
    assert "beyond 32×32 it reaches into the padding" in text
    assert "reaches into the padding" not in all_text(draw("imagenet-2012")[1])


def test_blocks_are_as_wide_and_as_high_as_the_cube_roots_of_maps_and_side():
    _, figure = draw("cifar")
    extents = [block.get_path().get_extents() for block in figure.findobj(FancyBboxPatch)]
    image, conv1, _, conv2 = extents[:4]  # 3 x 32 x 32, 96 x 8 x 8, its ReLU, 256 x 8 x 8
    assert conv1.width / image.width == pytest.approx((96 / 3) ** (1 / 3))
    assert conv2.width / conv1.width == pytest.approx((256 / 96) ** (1 / 3))
    assert image.height / conv1.height == pytest.approx((32 / 8) ** (1 / 3))
    assert conv2.height == pytest.approx(conv1.height)


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


def test_the_same_network_gives_the_same_bytes(tmp_path):
    for suffix in ("svg", "pdf"):
        for name in ("one", "two"):
            save_file(draw("cifar")[1], tmp_path / f"{name}.{suffix}")
        one, two = (tmp_path / f"{name}.{suffix}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes(), suffix


def test_the_readme_shows_the_network_as_it_is(tmp_path):
    save_file(draw("cifar")[1], tmp_path / "drawn.png")
    drawn, shown = (
        imread(path) for path in (tmp_path / "drawn.png", ROOT / "docs/images/architecture.png")
    )
    assert drawn.shape == shown.shape
    assert np.abs(drawn - shown).mean() < 0.001
