from functools import partial

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.patches import Polygon

from alexnet.report.layers import operation
from alexnet.report.style import save_file
from alexnet.report.volumes import DRAWN, volumes
from tests.conftest import ROOT

from . import test_diagram
from .layout import all_text, assert_legible

draw = partial(test_diagram.draw, picture=volumes)


@pytest.mark.parametrize(("variant", "size", "in_channels", "num_classes"), test_diagram.CASES)
def test_legible_and_complete(variant, size, in_channels, num_classes):
    layers, figure = draw(variant, size, in_channels, num_classes)
    assert_legible(figure)
    text = all_text(figure)
    for layer in layers:
        if layer.kind not in DRAWN:
            continue
        assert layer.name in text
        if len(layer.output_shape) == 3:
            number, height, width = layer.output_shape
            assert f"{number} maps {height} × {width}" in text
        assert layer.kind == "fc" or operation(layer).replace(",", "") in text


def parallelograms(figure):
    """The faces and windows in the order in which they are drawn, each (4, 2) in inches."""
    return [patch.get_xy()[:4] for patch in figure.findobj(Polygon)]


def sides(corners):
    return np.linalg.norm(corners[1] - corners[0]), np.linalg.norm(corners[2] - corners[1])


def test_boxes_are_to_scale():
    _, figure = draw("imagenet-2012", num_classes=1000)
    shapes = parallelograms(figure)
    # The input has 3 faces; each box behind it a window on the one before, and 3 faces.
    front, window = shapes[0::4], shapes[3::4]
    tensors = [(96, 55), (96, 27), (256, 27), (256, 13), (384, 13), (384, 13), (256, 13), (256, 6)]
    for i, (maps, side) in enumerate(tensors, start=1):
        assert sides(front[i])[0] / sides(front[1])[0] == pytest.approx(maps / 96)
        assert sides(front[i])[1] / sides(front[0])[1] == pytest.approx(side / 227)
    # conv1's 11x11 window of the image, then pool1's 3x3 of conv1, conv2's 5x5 of pool1.
    for i, kernel in enumerate([11, 3, 5, 3, 3, 3, 3, 3]):
        assert sides(window[i])[1] / sides(front[0])[1] == pytest.approx(kernel / 227)
    # fc1 sees all of pool5; its vector is 4.096 times as long as fc3's.
    whole, fc1, _, fc2, _, fc3 = shapes[-6:]
    assert sides(whole)[1] / sides(front[0])[1] == pytest.approx(6 / 227)
    assert sides(fc1)[1] == pytest.approx(sides(fc2)[1])
    assert sides(fc1)[1] / sides(fc3)[1] == pytest.approx(4.096)


def test_a_window_on_paper_is_no_larger_than_its_map():
    """fc1 aside; at 27 pixels pool5 makes 1x1 of conv5's 3x3."""
    _, figure = draw("cifar", 27)
    shapes = parallelograms(figure)
    for window, right in zip(shapes[3::4], shapes[2::4], strict=False):
        assert sides(window)[1] <= sides(right)[1] * (1 + 1e-9)


def test_the_title_says_what_becomes_of_the_image():
    text = all_text(draw("cifar")[1])
    assert "32×32 pixels of 3 channels become 1×1 of 256 maps" in text
    assert "Not drawn: ReLU, dropout, flatten." in text
    assert "2 groups" in all_text(draw("imagenet-2012")[1])


def test_the_same_network_gives_the_same_bytes(tmp_path):
    for suffix in ("svg", "pdf"):
        one, two = (tmp_path / f"{name}.{suffix}" for name in ("one", "two"))
        for path in (one, two):
            save_file(draw("cifar")[1], path)
        assert one.read_bytes() == two.read_bytes(), suffix


def test_the_readme_shows_the_network_as_it_is(tmp_path):
    save_file(draw("cifar")[1], tmp_path / "drawn.png")
    drawn, shown = (
        imread(path) for path in (tmp_path / "drawn.png", ROOT / "docs/images/volumes.png")
    )
    assert drawn.shape == shown.shape
    assert np.abs(drawn - shown).mean() < 0.001
