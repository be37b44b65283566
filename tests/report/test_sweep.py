"""The page of a sweep: where the lines run, and in which order."""

import math
import re

import pytest

from alexnet.report.parallel_coordinates import axis_of
from alexnet.report.sweep import Trial, write_sweep


def trial(name: str, accuracy: float, **params: object) -> Trial:
    metrics = {"val_loss": 0.5, "val_accuracy_percent": accuracy}
    return Trial(name, {f"train.{key}": value for key, value in params.items()}, metrics)


TRIALS = [
    trial("worse", 80.0, learning_rate=0.1, epochs=2, muon_lr=None),
    trial("<best>", 90.0, learning_rate=0.001, epochs=2, muon_lr=0.014),
    trial("older", 85.0, learning_rate=0.01, epochs=2),
]


@pytest.mark.parametrize(
    ("values", "heights", "labels"),
    [
        ([1, 3, 2], [0, 1, 0.5], ["1", "2", "3"]),
        ([0.001, 0.1, 0.01], [0, 1, 0.5], ["0.001", "0.01", "0.1"]),
        ([0, 100, 10], [0, 1, 0.1], ["0", "10", "100"]),
        ([0, 0.05, 1], [0, 0.05, 1], ["0", "1"]),
        ([5, 5], [0.5, 0.5], ["5"]),
        (["null", 0.014], [0.75, 0.25], ["0.014", "null"]),
        ([1, None, 2], [0, None, 1], ["1", "2"]),
        (range(8), [i / 7 for i in range(8)], ["0", "7"]),
    ],
    ids=[
        "linear",
        "logarithmic",
        "zero",
        "labels that would touch",
        "one value",
        "texts",
        "a value is missing",
        "many",
    ],
)
def test_the_heights_and_labels_of_an_axis(values, heights, labels):
    axis = axis_of("name", list(values))
    for found, expected in zip(axis.heights, heights, strict=True):
        assert found == expected or math.isclose(found, expected)
    assert [tick.label for tick in axis.ticks] == labels


def test_the_page_has_what_differs_and_the_best_validation_accuracy_first(tmp_path):
    write_sweep(tmp_path / "sweep.html", TRIALS)
    page = (tmp_path / "sweep.html").read_text()
    assert re.findall(r'<th scope="row">(.*?)</th>', page) == ["&lt;best&gt;", "older", "worse"]
    assert "train.epochs" not in page
    points = re.findall(r'points="(.*?)"', page)
    # The axes: learning rate, muon_lr, the loss (of one value), accuracy; 46 is the top.
    assert points[0] == "90,306.0 240,241.0 390,176.0 540,46.0"
    assert points[1].startswith("90,176.0 240,111.0 "), "a parameter that it had not is null"
    table = page.partition("<table>")[2].partition("</table>")[0]
    assert "test" not in table, "nothing is chosen by the test images"
