"""The pictures of a run, and the page that shows them."""

import base64
import logging
import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

from alexnet.data.dataset import Meta, SkippedImage
from alexnet.errors import UserError
from alexnet.evaluation.repeats import Repeats
from alexnet.evaluation.results import ClassMetrics
from alexnet.network.model import AlexNetOneWeirdTrick
from alexnet.report.draw import draw_all, most_confident_mistakes
from alexnet.report.examples import cells_with_examples
from alexnet.report.interpretability import FeatureExtractor
from alexnet.report.run import skipped_images
from alexnet.report.sections import PICTURES, SECTIONS
from alexnet.report.settings import flatten
from alexnet.report.style import BLUE, INK, ON_DARK
from alexnet.report.svg import compress_images, dark_mode_svg

from .conftest import METRICS, ONE_SEED, run_of, write_page
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


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_users_settings(run, drawn, tmp_path, caplog):
    settings = {"font.size": 30, "lines.linewidth": 9, "svg.hashsalt": None}
    with matplotlib.rc_context(settings), caplog.at_level(logging.INFO, "alexnet.report"):
        before = dict(matplotlib.rcParams)
        assert draw_all(tmp_path, run) == caplog.messages[:-1]
        assert dict(matplotlib.rcParams) == before  # and these stay as they are
    for file in drawn.rglob("*.*"):
        again = tmp_path / file.relative_to(drawn)
        assert file.read_bytes() == again.read_bytes(), file.name


@pytest.mark.slow
def test_the_page_stays_small_with_large_photographs(tmp_path, monkeypatch):
    """Of 224 pixels: crops of leaves, roofs and petals, which compress badly."""
    crops = [
        photograph[180 + row : 404 + row, column : column + 224]
        for photograph in load_sample_images().images
        for row in (0, 10, 20)
        for column in range(0, 400, 20)
    ]
    images = torch.from_numpy(np.stack(crops)[::2])
    labels = torch.arange(len(images)) % 10
    model = AlexNetOneWeirdTrick(10, 3, 0.0)
    # 289 forward passes an image, for a map of 17 by 17.
    monkeypatch.setattr(FeatureExtractor, "occlusion", lambda *_, **__: np.eye(17))
    run = run_of(model, (images, labels), len(images))
    versions = torch.stack([images[:10].roll(shift, dims=1) for shift in range(4)])
    run = replace(
        run,
        samples=images[:10].numpy(),
        augmented=versions.numpy(),
        sample_labels=run.actual[:10],
        predicted=np.where(np.arange(len(images)) % 2, run.actual, (run.actual + 1) % 10),
        num_mistakes=24,
    )
    draw_all(tmp_path, run)
    cells = cells_with_examples(run.test_images, run.actual, run.predicted, run.confidence)
    classes = dict.fromkeys(run.classes, ClassMetrics(0.5, 0.5, 1))
    changes = {"cells": cells, "metrics": replace(METRICS, per_class=classes)}
    assert len(write_page(tmp_path / "report.html", run, tmp_path, **changes)) < 15_000_000


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
