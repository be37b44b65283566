import numpy as np
import pytest

from tests.report.layout import all_text, assert_legible
from tour.pictures import bars, curve, faded, pixels_and_numbers, thumbnails

GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)
SIGNED = np.linspace(-1, 1, 64).reshape(8, 8)


@pytest.mark.parametrize("columns", [1, 2, 8, 12])
def test_thumbnails_are_legible(columns):
    rows = [("images", [GREY] * columns), ("maps with a long name", [SIGNED] * columns)]
    figure = thumbnails("A title", "A caption.", rows, ["one"])
    assert_legible(figure)
    assert len(figure.findobj(lambda artist: hasattr(artist, "get_clim"))) == 2 * columns


def test_zero_is_white_in_a_picture_of_numbers():
    (image,) = thumbnails("t", "", [("", [SIGNED])]).findobj(lambda a: hasattr(a, "get_clim"))
    assert image.get_clim() == (-1, 1)
    assert image.cmap(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.01)


def test_bars_are_legible_and_as_long_as_their_numbers():
    figure = bars("A title", "A caption.", ["a", "b"], {"millions": [1.0, 4.0], "s": [0.5, 0.0]})
    assert_legible(figure)
    one, four, *_ = (bar.get_width() for bar in figure.axes[0].patches)
    assert four == pytest.approx(4 * one)
    assert "0.5" in all_text(figure)


def test_the_others_are_legible():
    assert_legible(curve("A title", "A caption.", "step", "loss", [2.3, 1.2, 0.4]))
    assert_legible(pixels_and_numbers("A title", "A caption.", GREY, GREY // 4))


def test_what_is_not_reached_is_pale():
    reached = np.zeros((8, 8), dtype=bool)
    reached[2:4] = True
    picture = faded(GREY, reached)
    assert picture.shape == (8, 8, 3)
    assert picture[~reached].min() >= 0.8 > picture[reached].max()
    assert picture.max() <= 1
