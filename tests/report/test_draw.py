import logging

import matplotlib
import numpy as np

from alexnet.report.draw import draw_all, most_confident_mistakes
from alexnet.report.sections import PICTURES


def test_every_picture_of_the_report_is_drawn_as_png_and_svg(run, drawn):
    names = {picture.name for picture in PICTURES}
    assert {file.name for file in drawn.iterdir() if file.is_file()} == {
        f"{name}.{extension}" for name in names for extension in ("png", "svg")
    }
    layers = {file.name for file in (drawn / "layers").iterdir()}
    assert layers == {f"{name}_maps.svg" for name in run.probes.outputs} | {
        f"{name}_weights.svg" for name in run.weights
    }


def test_bytes_do_not_depend_on_the_users_settings(run, drawn, tmp_path, caplog):
    settings = {"font.size": 30, "lines.linewidth": 9, "svg.hashsalt": None}
    with matplotlib.rc_context(settings), caplog.at_level(logging.INFO, "alexnet.report"):
        before = dict(matplotlib.rcParams)
        assert draw_all(tmp_path, run) == caplog.messages[:-1]
        assert dict(matplotlib.rcParams) == before  # and these stay as they are
    for file in drawn.rglob("*.*"):
        again = tmp_path / file.relative_to(drawn)
        assert file.read_bytes() == again.read_bytes(), file.name


def test_mistakes_are_ordered_by_confidence():
    actual = np.array([0, 1, 2, 3, 4])
    predicted = np.array([0, 0, 0, 0, 0])
    confidence = np.array([0.99, 0.3, 0.9, 0.3, 0.5])
    assert most_confident_mistakes(actual, predicted, confidence, 3) == [2, 4, 1]
    assert most_confident_mistakes(actual, actual, confidence, 3) == []
