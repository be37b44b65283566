"""The check of legibility is checked: it must find an overlap."""

import pytest
from matplotlib.figure import Figure

from .layout import assert_legible


def figure_with(*texts: tuple[float, float, str, float]) -> Figure:
    figure = Figure(figsize=(4, 4), dpi=100)
    for x, y, words, angle in texts:
        figure.text(x, y, words, rotation=angle, rotation_mode="anchor")
    return figure


def test_overlapping_texts_are_found():
    with pytest.raises(AssertionError, match="'one' overlaps 'other'"):
        assert_legible(figure_with((0.5, 0.5, "one", 0), (0.52, 0.5, "other", 0)))
    with pytest.raises(AssertionError, match="overlaps"):
        assert_legible(figure_with((0.3, 0.3, "a long slope", 45), (0.35, 0.37, "flat", 0)))


def test_text_outside_the_picture_is_found():
    with pytest.raises(AssertionError, match="'far out' leaves"):
        assert_legible(figure_with((0.95, 0.5, "far out", 0)))


def test_texts_side_by_side_pass():
    slopes = [(0.1 + 0.1 * i, 0.3, "a long slope", 45) for i in range(4)]
    assert_legible(figure_with((0.1, 0.9, "one", 0), (0.3, 0.9, "other", 0), *slopes))
