"""Assertions on a picture as it is rendered, shared by the tests of each kind."""

from itertools import combinations
from unittest.mock import patch

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from alexnet.report.style import applied


@applied()
def drawn_texts(figure: Figure) -> list[tuple[str, Path]]:
    """Every text that rendering the figure draws, with its outline in pixels."""
    drawn: list[Text] = []
    draw = Text.draw

    def record(text: Text, renderer: object) -> None:
        drawn.append(text)
        draw(text, renderer)

    canvas = FigureCanvasAgg(figure)
    with patch.object(Text, "draw", record):
        canvas.draw()
    return [
        (text.get_text(), _outline(text, canvas.get_renderer()))
        for text in drawn
        if text.get_visible() and text.get_text().strip()
    ]


def _outline(text: Text, renderer: object) -> Path:
    """The rectangle around a text, turned with it, half a pixel smaller at each side."""
    angle = text.get_rotation()
    slanted = angle % 90 != 0
    if slanted:
        assert text.get_rotation_mode() == "anchor"
        text.set_rotation(0)
    box = text.get_window_extent(renderer).padded(-0.5)
    text.set_rotation(angle)
    corners = np.array([[box.x0, box.y0], [box.x1, box.y0], [box.x1, box.y1], [box.x0, box.y1]])
    if slanted:
        x, y = text.get_transform().transform(text.get_position())
        corners = Affine2D().rotate_deg_around(x, y, angle).transform(corners)
    return Path([*corners, corners[0]], closed=True)


def assert_legible(figure: Figure) -> None:
    """No text overlaps another or leaves the picture."""
    texts = drawn_texts(figure)
    assert texts
    extents = {id(outline): outline.get_extents() for _, outline in texts}
    width, height = figure.bbox.size
    for words, outline in texts:
        box = extents[id(outline)]
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        assert inside, f"{words!r} leaves the picture: {box}"
    for (one, first), (other, second) in combinations(texts, 2):
        if extents[id(first)].overlaps(extents[id(second)]):
            assert not first.intersects_path(second, filled=True), f"{one!r} overlaps {other!r}"


def all_text(figure: Figure) -> str:
    """All text of the picture, in the order in which it is drawn."""
    return " ".join(" ".join(words for words, _ in drawn_texts(figure)).split())
