"""Text is measured, cut and wrapped; the check of legibility finds an overlap."""

import pytest
from matplotlib.figure import Figure

from alexnet.report.canvas import fit, text_width, wrap
from alexnet.report.style import TEXT, percent

from .layout import assert_legible


def test_wider_text_is_measured_wider():
    assert text_width("mm", TEXT) == pytest.approx(2 * text_width("m", TEXT), rel=0.05)
    assert text_width("cat", 2 * TEXT) == pytest.approx(2 * text_width("cat", TEXT), rel=0.01)
    assert text_width("cat", TEXT, bold=True) > text_width("cat", TEXT)


def test_fit_cuts_only_what_is_too_wide():
    assert fit("cat", TEXT, 1.0) == "cat"
    cut = fit("a long name for a class", TEXT, 1.0)
    assert "…" in cut
    assert (cut[0], cut[-1]) == ("a", "s")
    assert text_width(cut, TEXT) <= 1.0


def test_wrap_keeps_every_word_in_order():
    words = "one two three four five six seven eight nine ten"
    lines = wrap(words, TEXT, 1.0)
    assert len(lines) > 1
    assert " ".join(lines) == words
    assert all(text_width(line, TEXT) <= 1.0 for line in lines)


def test_percent():
    assert percent(0.9143) == "91.4 %"
    assert percent(0.9143, 0) == "91 %"


SLOPES = [(0.1 + 0.1 * i, 0.3, "a long slope", 45) for i in range(4)]


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ([(0.5, 0.5, "one", 0), (0.52, 0.5, "other", 0)], "'one' overlaps 'other'"),
        ([(0.3, 0.3, "a long slope", 45), (0.35, 0.37, "flat", 0)], "overlaps"),
        ([(0.95, 0.5, "far out", 0)], "'far out' leaves"),
        ([(0.1, 0.9, "one", 0), (0.3, 0.9, "other", 0), *SLOPES], None),
    ],
)
def test_legibility_is_checked(texts, problem):
    figure = Figure(figsize=(4, 4), dpi=100)
    for x, y, words, angle in texts:
        figure.text(x, y, words, rotation=angle, rotation_mode="anchor")
    if problem is None:
        assert_legible(figure)
    else:
        with pytest.raises(AssertionError, match=problem):
            assert_legible(figure)
