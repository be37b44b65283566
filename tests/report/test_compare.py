"""The page that compares two runs."""

from dataclasses import replace

import numpy as np
import pytest

from alexnet.errors import UserError
from alexnet.evaluation.evaluate import Predictions
from alexnet.evaluation.results import ClassMetrics
from alexnet.report.compare import (
    RecordedRun,
    compared_metrics,
    differing_parameters,
    disagreements,
    write_comparison,
)

from .conftest import METRICS, make_history
from .outline import Outline

NAMES = ("<b>&", "dog", "unseen")
ACTUAL = np.array([0, 0, 0, 1, 1, 1])


def make_run(
    name: str, predicted: list[int], recalls: tuple[float, float], **settings
) -> RecordedRun:
    classes = {
        **{k: ClassMetrics(0.5, recall, 3) for k, recall in zip(NAMES, recalls, strict=False)},
        NAMES[2]: ClassMetrics(0.0, None, 0),
    }
    confidence = np.linspace(0.4, 0.9, 6)
    return RecordedRun(
        name=name,
        settings={"train.epochs": "5", **settings},
        metrics=replace(METRICS, n=6, accuracy=sum(recalls) / 2, per_class=classes),
        predictions=Predictions(ACTUAL, np.array(predicted), confidence),
        history=make_history(5),
    )


OURS = make_run("workspace", [0, 0, 1, 1, 1, 1], (2 / 3, 1.0), extra="1")
THEIRS = make_run("<i>", [0, 0, 0, 0, 0, 1], (1.0, 1 / 3))
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)


def page_of(tmp_path, images=IMAGES, theirs=THEIRS) -> Outline:
    write_comparison(tmp_path / "compare.html", OURS, theirs, images)
    return Outline((tmp_path / "compare.html").read_text())


def test_both_runs_stand_side_by_side(tmp_path):
    page = page_of(tmp_path)
    assert page.open == []
    text = " ".join(page.text.split())
    assert "accuracy 83.33 % 66.67 % +16.67 points" in text
    assert "dog 100.0 % 33.3 % +66.67 points <b>& 66.7 % 100.0 % −33.33 points" in text
    assert "unseen" not in text.partition("Recall by class")[2]
    assert "extra 1 —" in text
    # Three tosses, two of them ours: all but 0 or 3 of a kind is as likely as this.
    assert "2 are classified correctly by workspace alone, 1 by <i> alone" in text
    assert "p = 1." in text
    assert "chance alone may explain it" in text
    assert "Solid: workspace. Dashed: <i>." in text
    for tag, attributes in page.tags:
        assert tag != "i"
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("data:", "#"))


def test_images_are_those_that_one_run_alone_has_right():
    found = disagreements(OURS, THEIRS, IMAGES)
    assert [(each.index, each.lines) for each in found] == [
        (4, ["true: dog", "<i> predicted: <b>&", "80.0 %"]),
        (3, ["true: dog", "<i> predicted: <b>&", "70.0 %"]),
    ]
    assert [each.index for each in disagreements(THEIRS, OURS, IMAGES)] == [2]


def test_other_test_images_are_said_to_be_others(tmp_path):
    text = " ".join(page_of(tmp_path, images=None).text.split())
    assert "evaluated on different test images" in text
    assert "McNemar" not in text
    assert "disagree" not in text


def test_other_classes_are_an_error(tmp_path):
    metrics = replace(THEIRS.metrics, per_class={"cat": ClassMetrics(1.0, 1.0, 6)})
    with pytest.raises(UserError, match="<i> has other classes: only one of the two runs has"):
        page_of(tmp_path, theirs=replace(THEIRS, metrics=metrics))


def test_only_what_differs_and_what_both_have_is_compared():
    assert differing_parameters({"a": "1", "b": "2"}, {"b": "3", "c": "4"}) == [
        ("a", "1", "—"),
        ("b", "2", "3"),
        ("c", "—", "4"),
    ]
    with_views = replace(OURS, metrics=replace(OURS.metrics, accuracy_mirrored=0.9))
    names = [name for name, *_ in compared_metrics(with_views, THEIRS)]
    assert "accuracy with mirrored views" not in names
