import pytest

from alexnet.report.canvas import fit, text_width, wrap
from alexnet.report.style import TEXT, percent


def test_wider_text_is_measured_wider():
    assert text_width("mm", TEXT) == pytest.approx(2 * text_width("m", TEXT), rel=0.05)
    assert text_width("cat", 2 * TEXT) == pytest.approx(2 * text_width("cat", TEXT), rel=0.01)
    assert text_width("cat", TEXT, bold=True) > text_width("cat", TEXT)


def test_fit_cuts_only_what_is_too_wide():
    assert fit("cat", TEXT, 1.0) == "cat"
    cut = fit("a long name for a class", TEXT, 1.0)
    assert cut.endswith("…")
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
