"""Whether two pictures show the same: up to rounding, and no further."""

import base64

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from tour.pictures import is_like, read, save

LOSSES = np.geomspace(3, 0.3, 40) * (1 + 0.2 * np.sin(np.arange(40)))


def curve(values=LOSSES, title="loss", text="0.41") -> Figure:
    figure = Figure(figsize=(7, 2.6), dpi=110)
    axes = figure.subplots()
    axes.plot(values)
    axes.set(ylim=(0, 4), title=title)
    axes.text(20, 3, text)
    return figure


def bars(values) -> Figure:
    figure = Figure(figsize=(7, 2.6), dpi=110)
    axes = figure.subplots()
    axes.barh(range(len(values)), values)
    axes.set_xlim(0, 1)
    return figure


def maps(values) -> Figure:
    figure = Figure(figsize=(7, 2.6), dpi=110)
    figure.subplots().imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
    return figure


SQUARE = np.linspace(-1, 1, 64).reshape(8, 8)


@pytest.fixture
def like(tmp_path):
    def compare(one: Figure, two: Figure) -> bool:
        save(one, tmp_path / "one.png")
        save(two, tmp_path / "two.png")
        return is_like(read(tmp_path / "one.png"), read(tmp_path / "two.png"))

    yield compare
    plt.close("all")


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (curve(), curve(LOSSES * 1.003)),
        (curve(), curve(text="0.42")),
        (bars([0.5, 0.1]), bars([0.502, 0.1])),
        (maps(SQUARE), maps(SQUARE * 0.99)),
    ],
)
def test_rounding_is_no_other_picture(like, one, two):
    assert like(one, two)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (curve(), curve(LOSSES * 1.1)),
        (curve(), curve(np.roll(LOSSES, 1))),
        (curve(), curve(title="another title")),
        (curve(), curve(LOSSES[:39])),
        (bars([0.5, 0.1]), bars([0.52, 0.1])),
        (bars([0.5, 0.1]), bars([0.1, 0.5])),
        (maps(SQUARE), maps(SQUARE.T)),
        (maps(SQUARE), maps(-SQUARE)),
        (curve(), bars([0.5, 0.1])),
    ],
)
def test_other_values_are_another_picture(like, one, two):
    assert not like(one, two)


def test_a_mean_difference_would_not_find_another_curve(tmp_path):
    save(curve(), tmp_path / "one.png")
    save(curve(np.roll(LOSSES, 5)), tmp_path / "two.png")
    one, two = read(tmp_path / "one.png"), read(tmp_path / "two.png")
    assert np.abs(one - two).mean() < 0.01
    assert not is_like(one, two)


def test_a_notebooks_output_is_read_as_a_file_is(tmp_path):
    save(curve(), tmp_path / "one.png")
    output = base64.b64encode((tmp_path / "one.png").read_bytes()).decode()
    assert np.array_equal(read(output), read(tmp_path / "one.png"))
