"""The pictures of a run, and the page that shows them."""

import base64
import re
from dataclasses import replace
from unittest.mock import patch
from xml.etree import ElementTree

import numpy as np
import pytest

from alexnet.data.dataset import Meta, SkippedImage
from alexnet.errors import UserError
from alexnet.evaluation.repeats import Repeats
from alexnet.report.draw import most_confident_mistakes
from alexnet.report.examples import cells_with_examples
from alexnet.report.page import finding
from alexnet.report.recall import recall_by_class
from alexnet.report.run import skipped_images
from alexnet.report.sections import PICTURES, SECTIONS
from alexnet.report.settings import flatten
from alexnet.report.style import BLUE, INK, ON_DARK, save_body, save_file
from alexnet.report.svg import compress_images, dark_mode_svg, words_of

from .conftest import METRICS, ONE_SEED
from .outline import Outline

UNBALANCED = {
    split: {"<b>&": 1000 * number, "never predicted": 12, "absent": 0}
    for split, number in (("train", 3), ("val", 2), ("test", 1))
}


LIVE = "../live/index.html"  # what `alexnet live` builds: the one link out of the page


def test_every_picture_of_the_report_is_drawn_as_png_and_svg(run, drawn):
    names = {picture.name for picture in PICTURES}
    assert {file.name for file in drawn.iterdir() if file.is_file()} == {
        f"{name}.{extension}" for name in names for extension in ("png", "svg")
    }
    layers = {file.name for file in (drawn / "layers").iterdir()}
    assert layers == {f"{name}_maps.svg" for name in run.probes.outputs} | {
        f"{name}_weights.svg" for name in run.weights
    }


def test_the_page_says_what_pictures_call_a_class(write):
    text = " ".join(Outline(write(classes=["<b>&", "class 1", "absent"])).text.split())
    assert "never predicted class 1 0.0 % 0.0 % 900" in text
    assert "in the pictures" not in Outline(write()).text


def test_mistakes_are_ordered_by_confidence():
    actual = np.array([0, 1, 2, 3, 4])
    predicted = np.array([0, 0, 0, 0, 0])
    confidence = np.array([0.99, 0.3, 0.9, 0.3, 0.5])
    assert most_confident_mistakes(actual, predicted, confidence, 3) == [2, 4, 1]
    assert most_confident_mistakes(actual, actual, confidence, 3) == []


def test_the_page_holds_each_picture_once_and_loads_nothing(write, drawn):
    html = write()
    tags = Outline(html).tags
    assert [attributes for tag, attributes in tags if tag == "script"] == [{}]
    for tag, attributes in tags:
        assert tag not in {"iframe", "object"}
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(name, "data:")
            assert value.startswith(("data:", "#")) or value == LIVE
    assert "@import" not in html
    assert not re.search(r"url\(", html)
    sources = [attributes["src"] for tag, attributes in tags if tag == "img"]
    contents = [base64.b64decode(source.split(",")[1]).decode() for source in sources]
    files = [*drawn.glob("*.svg"), *drawn.glob("layers/*.svg")]
    assert sorted(contents) == sorted(
        dark_mode_svg(compress_images(file.read_text())) for file in files
    )
    for content in contents:
        ElementTree.fromstring(content)


def test_images_left_out_are_counted_and_the_first_named(write):
    meta = Meta(
        *("folder", ("a", "b"), 8, 1, "bicubic", (0.5,), (0.5,), {}, {}),
        skipped=tuple(SkippedImage(f"a/{n}<i>.jpg", "is empty") for n in range(5)),
        source="mine",
        source_sha256="0" * 64,
    )
    text = Outline(write(conditions=skipped_images(meta))).text
    assert "images left out" in text
    assert "5: a/0<i>.jpg, a/1<i>.jpg, a/2<i>.jpg and 2 more" in text
    assert skipped_images(replace(meta, skipped=())) == {}


def test_colours_of_a_picture_follow_the_colour_scheme():
    """The report's own colours, in styles alone."""
    svg = (
        '<svg width="1"><path style="fill: #0072b2; stroke: #1f2328"/>'
        '<image href="data:#1f2328"/><path style="fill: #123456"/></svg>'
    )
    dark = dark_mode_svg(svg)
    blue, ink = (list(ON_DARK).index(colour) for colour in (BLUE, INK))
    assert f'style="fill: var(--c{blue}); stroke: var(--c{ink})"' in dark
    assert 'href="data:#1f2328"' in dark
    assert 'style="fill: #123456"' in dark
    assert f"svg{{--c{list(ON_DARK).index(INK)}:{INK}" in dark
    assert f"--c{blue}:#0072b2" in dark.split("@media")[0]
    assert f"--c{blue}:{ON_DARK[BLUE]}" in dark.split("@media (prefers-color-scheme:dark)")[1]


def test_headline_sections_and_tables(write):
    page = Outline(write())
    targets = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    inside = [target for target in targets if target != LIVE]
    assert LIVE in targets
    assert inside == [f"#{section.key}" for section in SECTIONS] + ["#settings"]
    assert {target[1:] for target in inside} <= {a.get("id") for _, a in page.tags}
    assert sum(tag == "details" and a.get("name") == "layer" for tag, a in page.tags) == 21
    text = " ".join(page.text.split())
    for picture in PICTURES:
        assert picture.sentence in text
    assert "⌊(32 − 11 + 2·4) / 4⌋ + 1 = 8" in text
    assert "16 · (6 · 5 · 5) + 16 = 2,416" in text
    assert "87.93 % of 10,000 test images" in text
    assert "<b>& 75.0 % 50.0 % 1,000" in text
    assert "never predicted 0.0 % 0.0 % 900" in text
    assert "absent 0.0 % undefined 0" in text
    assert "conv 5×5, stride 1, pad 2" in text
    assert "nesterov true" in text
    assert "schedule.name linear" in text
    assert "seed null" in text
    assert "alexnet live --open" in text


def test_names_are_text_not_markup(write):
    page = Outline(write())
    assert page.open == []
    assert "<b>&" in page.text
    assert "AlexNet on <digits>" in page.text
    assert all(tag not in {"b", "digits"} for tag, _ in page.tags)


def test_top5_is_left_out_where_it_is_not_defined(write):
    assert "Top-5" not in write()
    page = Outline(write(metrics=replace(METRICS, top5_accuracy=0.9921)))
    assert "Top-5 accuracy 99.21 %" in " ".join(page.text.split())


def test_images_of_each_split_are_counted_if_the_classes_are_unbalanced(write):
    text = " ".join(Outline(write(counts=UNBALANCED)).text.split())
    assert (
        "Class imbalance: 3,000 training images of <b>&, 12 of never predicted (250 : 1)." in text
    )
    assert "Balanced accuracy 25.00 %" in text
    heads = "recall test images validation images training images"
    assert f"{heads} <b>& 75.0 % 50.0 % 1,000 2,000 3,000" in text
    assert "Balanced accuracy" not in write()


def test_seeds_are_shown_where_there_are_several(write):
    assert "seeds" not in Outline(write()).text.lower()
    first = ONE_SEED.runs[0]
    runs = [
        replace(first, seed=n, test_accuracy=a, test_accuracy_mirrored=0.5)
        for n, a in ((0, 0.8), (7, 0.9))
    ]
    page = Outline(write(repeats=Repeats(tuple(runs))))
    text = " ".join(page.text.split())
    assert "Over 2 seeds : 85.00 % ± 7.07 %." in text
    assert "seed validation accuracy test accuracy with mirrored views 0 100.00 %" in text
    assert "7 100.00 % 90.00 % 50.00 %" in text
    assert "mean ± deviation 100.00 % ± 0.00 % 85.00 % ± 7.07 % 50.00 % ± 0.00 %" in text
    assert page.open == []
    styles = [a["style"] for tag, a in page.tags if tag == "i" and "left" in a.get("style", "")]
    places = [float(style.removeprefix("left:").removesuffix("%")) for style in styles]
    # Two values lie at their mean ± the deviation over the root of 2, in a band of ± the deviation.
    assert places[2:4] == pytest.approx([50 - 50 / 2**0.5, 50 + 50 / 2**0.5])
    labels = [" ".join(a["aria-label"].split()) for _, a in page.tags if "aria-label" in a]
    assert "test accuracy: mean 85.00 % ± 7.07 %, from 80.00 % to 90.00 %" in labels


def test_a_missing_picture_is_named(write, tmp_path):
    with pytest.raises(UserError, match=r"confusion_matrix\.svg does not exist"):
        write(figures=tmp_path)


def test_settings_are_flattened_by_section():
    assert flatten({"data": {"source": ["a", "b"]}, "seed": 0, "x": {"y": {"z": 1.5}}}) == {
        "data": {"source": '["a", "b"]'},
        "": {"seed": "0"},
        "x": {"y.z": "1.5"},
    }


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
