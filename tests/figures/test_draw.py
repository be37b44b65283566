import matplotlib
import numpy as np

from alexnet.figures.draw import draw_all, most_confident_mistakes
from alexnet.figures.report import PICTURES


def test_every_picture_of_the_report_is_drawn_as_png_and_svg(run, tmp_path):
    said = []
    names = draw_all(tmp_path, **run, say=said.append)
    assert names == said
    assert set(names) == {picture.name for picture in PICTURES}
    assert {file.name for file in tmp_path.iterdir()} == {
        f"{name}.{extension}" for name in names for extension in ("png", "svg")
    }


def test_pictures_are_the_same_to_the_byte_whatever_the_readers_settings(run, drawn, tmp_path):
    with matplotlib.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.hashsalt": None}):
        before = dict(matplotlib.rcParams)
        draw_all(tmp_path, **run)
        assert dict(matplotlib.rcParams) == before  # and the reader keeps them
    for file in drawn.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), file.name


def test_mistakes_are_taken_by_confidence():
    actual = np.array([0, 1, 2, 3, 4])
    predicted = np.array([0, 0, 0, 0, 0])
    confidence = np.array([0.99, 0.3, 0.9, 0.3, 0.5])
    assert most_confident_mistakes(actual, predicted, confidence, 3) == [2, 4, 1]
    assert most_confident_mistakes(actual, actual, confidence, 3) == []
