"""What stands beside the pictures on the page: their words, the cells' images, the costs."""

from dataclasses import replace
from unittest.mock import patch
from xml.etree import ElementTree

import numpy as np
import pytest

from alexnet.report.examples import cells_with_examples
from alexnet.report.page import finding
from alexnet.report.recall import recall_by_class
from alexnet.report.sections import PICTURES
from alexnet.report.style import save_body, save_file
from alexnet.report.svg import words_of

from .conftest import METRICS
from .outline import Outline


def test_titles_and_captions_are_text_beside_the_pictures(write, drawn, run, tmp_path):
    text = " ".join(Outline(write()).text.split())
    for picture in PICTURES:
        title, caption = words_of(drawn / f"{picture.name}.svg")
        assert f"{finding(title)}. {caption}".strip() in text
    figure = recall_by_class(np.array([[3, 1], [0, 4]]), ["<b>&", "dog"])
    for save in save_file, save_body:
        save(figure, tmp_path / f"{save.__name__}.svg")
    whole, body = (
        ElementTree.parse(tmp_path / f"{save.__name__}.svg") for save in (save_file, save_body)
    )
    texts = [sum("text_" in e.get("id", "") for e in each.iter()) for each in (whole, body)]
    assert texts[0] - texts[1] == len(figure.words) == 2
    heights = [float(each.getroot().get("height")[:-2]) for each in (whole, body)]
    assert heights[1] == pytest.approx(72 * figure.body.height)
    assert heights[1] < heights[0]
    assert words_of(tmp_path / "save_body.svg") == (figure.title, figure.caption)


def test_cells_of_the_matrix_lead_to_their_images(write):
    """Of each cell the images of highest confidence; of all cells one, before any has two."""
    names = list(METRICS.per_class)
    images = np.random.default_rng(0).integers(0, 256, (14, 32, 32, 3), dtype=np.uint8)
    actual = np.array([0] * 11 + [1, 1, 2])
    predicted = np.array([0] * 10 + [1, 1, 0, 2])
    confidence = np.linspace(0.3, 0.95, 14)
    cells = cells_with_examples(images, actual, predicted, confidence)
    found = {
        (cell.true, cell.predicted): ([e.index for e in cell.examples], cell.count, cell.support)
        for cell in cells
    }
    best = [9, 8, 7, 6, 5, 4, 3, 2]
    assert found == {
        (0, 0): (best, 10, 11),
        (0, 1): ([10], 1, 11),
        (1, 0): ([12], 1, 2),
        (1, 1): ([11], 1, 2),
        (2, 2): ([13], 1, 1),
    }
    page = Outline(write(cells=cells))
    targets = {a["id"] for tag, a in page.tags if tag == "section" and a.get("class") == "cell"}
    links = {a["href"][1:]: a["title"] for tag, a in page.tags if "--r" in a.get("style", "")}
    assert links.keys() == targets == {f"cell-{true}-{predicted}" for true, predicted in found}
    assert links["cell-0-1"] == f"true: {names[0]}, predicted: {names[1]}, 1 test image"
    text = " ".join(page.text.split())
    assert "10 of the 11 test images of this true class; those of highest confidence." in text
    assert sum(a.get("src", "").startswith("data:image/webp") for _, a in page.tags) == 12
    with patch("alexnet.report.examples.MAX_PIXELS", 4 * 32 * 32):  # mistakes first
        few = cells_with_examples(images, actual, predicted, confidence)
    assert [(cell.true, cell.predicted) for cell in few] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    metrics = replace(METRICS, n=14)
    assert "room for the largest cells alone" in Outline(write(cells=few, metrics=metrics)).text
    assert "room" not in Outline(write(cells=cells, metrics=metrics)).text


def test_costs_are_of_the_network_as_written_and_as_trained(write, run):
    text = " ".join(Outline(write()).text.split())
    assert "The network trains as it is written." in text
    *layers, last = run.layers
    text = Outline(write(trained_layers=[*layers, replace(last, parameters=last.parameters - 7)]))
    total = sum(layer.parameters for layer in run.layers)
    words = " ".join(text.text.split())
    assert f"as written {total:,}" in words
    assert f"as trained {total - 7:,}" in words
    assert "as it is written" not in words
