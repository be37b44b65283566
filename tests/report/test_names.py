"""Class names in pictures: of any script, in little room, each unlike the others."""

import matplotlib
import pytest
from matplotlib.font_manager import fontManager

from alexnet.report import style
from alexnet.report.canvas import fit_names, text_width
from alexnet.report.names import for_figure, shorten
from alexnet.report.samples import mistakes
from alexnet.report.style import SMALL

from .layout import all_text
from .test_samples import crops  # noqa: F401 (a fixture)

ALIKE = [f"golden_retriever_puppy_{side}_view_0{k}" for side in ("left", "right") for k in (1, 2)]


@pytest.fixture
def fonts(monkeypatch):
    """Chooses the fallback fonts, whatever this machine has."""

    def choose(*families: str) -> None:
        monkeypatch.setattr(style, "FALLBACK_FONTS", families)
        for function in (style.font_families, text_width):
            function.cache_clear()

    yield choose
    choose(*style.FALLBACK_FONTS)


def test_names_that_begin_or_end_alike_stay_apart_in_any_room():
    for width in (0.5, 0.8, 1.2, 1.6, 5.0):
        short = fit_names([*ALIKE, "cat"], SMALL, width)
        assert len(set(short)) == 5
        assert short[-1] == "cat"
        assert all(text_width(name, SMALL) <= width for name in short)
    assert short[:4] == ALIKE
    assert shorten(["image_of_a_01", "image_of_a_02"], lambda text: len(text) < 9) == [
        *("imag…_01", "imag…_02"),
    ]
    alike = [f"{'x' * 9}{k}{'y' * 9}" for k in "ab"]
    assert shorten(alike, lambda text: len(text) < 14) == ["…xxxxa…yyyyyy", "…xxxxb…yyyyyy"]
    assert shorten(alike, lambda text: len(text) < 9) == ["xx…y (1)", "xx…y (2)"]
    measured: list[str] = []
    many = [f"the_{k:04d}_of_a_thousand_classes_whose_names_are_long" for k in range(1000)]
    shorten(many, lambda text: bool(measured.append(text)) or len(text) < 20)
    assert len(measured) < 20 * len(many), "a text takes a millisecond to measure"


def test_a_name_that_no_font_has_is_a_number_and_one_line_says_why(fonts):
    fonts()
    drawn, warning = for_figure(["cafe\u0301", "猫", "$x^2$", "แมว", "cat"])
    assert drawn == ["cafe\u0301", "class 1", "$x^2$", "class 3", "cat"]
    assert "猫, แ, ม and 1 more (CJK, THAI) of 2 of 5 class names" in warning
    assert "fonts-noto-cjk fonts-noto-core" in warning
    assert for_figure(["cat"]) == (["cat"], "")


def test_a_font_that_is_installed_is_used(fonts, monkeypatch, crops):  # noqa: F811
    name = "\u2322"  # of the STIX fonts, which come with matplotlib, and not of DejaVu
    fonts()
    assert for_figure([name])[0] == ["class 0"]
    fonts("not installed", "STIXGeneral")
    # As if it was installed after matplotlib listed the fonts.
    others = [font for font in fontManager.ttflist if font.name != "STIXGeneral"]
    monkeypatch.setattr(fontManager, "ttflist", others)
    drawn, warning = for_figure([name, "קט"])
    assert (drawn, warning) == ([name, "\u200eקט\u200e"], "")
    before = list(matplotlib.rcParams["font.family"])
    # A missing glyph would be a warning, which is an error here.
    assert name in all_text(mistakes(crops[:1], [1], [0], [0.5], drawn, 1))
    assert matplotlib.rcParams["font.family"] == before
