"""The pages of the tour run, print what they show, and their pictures are of that run."""

import re

import matplotlib.image
import numpy as np
import pytest

from tests.conftest import ROOT
from tour.__main__ import PAGES, PICTURES
from tour.literate import differences, prose, run_pages

TEXTS = [page.read_text() for page in PAGES]
TEXT = "".join(TEXTS)

# Names of layers, the papers' sections and years, and the code's own names; never a result.
NAMES = re.compile(r"\b(conv|fc|pool|relu)\d|section 3\.1|paper/4824-\S+|log 10\b|\[[^]]*\]\(\S+\)")


@pytest.mark.slow
def test_the_tour_runs_and_shows_its_output(tmp_path):
    again = run_pages(TEXTS, [str(page) for page in PAGES], tmp_path)
    for text, new in zip(TEXTS, again, strict=True):
        assert differences(text, new) == []
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {path.name for path in PICTURES.iterdir()}
    for name in drawn:
        assert f"(images/tour/{name})" in TEXT
        one, two = (
            matplotlib.image.imread(PICTURES / name),
            matplotlib.image.imread(tmp_path / name),
        )
        assert one.shape == two.shape
        # Another machine's rounding may move a line by a pixel; it draws no other picture.
        assert np.abs(one - two).mean() < 0.01, name


def test_every_number_in_a_sentence_is_computed():
    text = NAMES.sub("", prose(TEXT))
    assert not re.findall(r"\S*\d\S*", text)


def test_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert target.startswith("https://") or (ROOT / "docs" / target).exists(), target
