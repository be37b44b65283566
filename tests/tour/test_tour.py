"""The tour runs and shows its output; its pictures and its notebook are of that run."""

import base64
import re
from pathlib import Path

import nbformat
import pytest
import sklearn.datasets
import torch

from tests.conftest import ROOT
from tests.report.layout import assert_legible
from tour import literate, notebook, pictures
from tour.__main__ import DOCS, NOTEBOOK, PAGES, PICTURES
from tour.literate import differences

TEXTS = [page.read_text() for page in PAGES]
TEXT = "".join(TEXTS)
BOOK = nbformat.read(NOTEBOOK, as_version=4)

# Names of layers, the papers' sections and years, and the code's own names; never a result.
NAMES = re.compile(
    r"\b(conv|fc|pool|relu)\d|section 3\.1|paper/4824-\S+|log 10\b|CIFAR-10|\[[^]]*\]\(\S+\)"
)


def run(folder: Path) -> list[str]:
    def show(name, figure):
        pictures.save(figure, folder / f"{name}.png")  # first: each drawing moves a layout a little
        if name != "network":  # its texts are laid out, and tested, by a module of its own
            assert_legible(figure)

    return literate.run_pages(TEXTS, [str(page) for page in PAGES], show)


def assert_same_pictures(folder: Path, but: tuple[str, ...] = ()) -> None:
    drawn = {path.name for path in folder.iterdir()}
    assert drawn == {path.name for path in PICTURES.iterdir()}
    for name in drawn - {f"{other}.png" for other in but}:
        share = pictures.unlike_share(pictures.read(PICTURES / name), pictures.read(folder / name))
        assert share <= pictures.UNLIKE_SHARE, name


@pytest.mark.slow
def test_the_tour_runs_and_shows_its_output_and_pictures(tmp_path):
    for text, new in zip(TEXTS, run(tmp_path), strict=True):
        assert differences(text, new) == []
    assert_same_pictures(tmp_path)


@pytest.mark.slow
def test_held_out_digits_are_used_for_the_last_question_alone(tmp_path, monkeypatch):
    """With other digits held out, no number or picture changes but those that show how it does."""
    scans = sklearn.datasets.load_digits()
    order = torch.randperm(len(scans.images), generator=torch.Generator().manual_seed(0))
    scans.images[order[1500:].numpy()] = 16
    scans.target[order[1500:].numpy()] = 0
    monkeypatch.setattr(sklearn.datasets, "load_digits", lambda: scans)
    *others, last = zip(TEXTS, run(tmp_path), strict=True)
    for text, new in others:
        assert differences(text, new) == []
    before, after = (page.split("the held-out digits have their turn") for page in last)
    assert differences(before[0], after[0]) == []
    assert differences(before[1], after[1]) != []
    assert_same_pictures(tmp_path, but=("held_out",))


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_holds():
    book = notebook.build(TEXTS)
    notebook.execute(book, DOCS)
    (printed, shown), (was_printed, was_shown) = notebook.outputs(book), notebook.outputs(BOOK)
    assert differences(was_printed, printed) == []
    for one, two in zip(shown, was_shown, strict=True):
        assert pictures.is_like(pictures.read(one), pictures.read(two))


def test_the_notebook_is_made_of_the_pages():
    assert notebook.sources(BOOK) == notebook.sources(notebook.build(TEXTS))


def test_the_notebook_holds_the_outputs_of_the_pages():
    """So a page, a picture and the notebook are of one run; `make tour` writes all of them."""
    printed, names = notebook.outputs_of_pages(TEXTS)
    was_printed, shown = notebook.outputs(BOOK)
    assert differences(printed, was_printed) == []
    for name, picture in zip(names, shown, strict=True):
        file = pictures.read(PICTURES / f"{name}.png")
        assert pictures.is_like(file, pictures.read(picture)), name


def test_every_picture_is_shown_once():
    shown = re.findall(r"!\[[^]]*\]\(images/tour/(\w+\.png)\)", TEXT)
    assert sorted(shown) == sorted(path.name for path in PICTURES.iterdir())


def test_the_notebook_is_small():
    assert NOTEBOOK.stat().st_size < 2e6
    assert all(base64.b64decode(picture) for picture in notebook.outputs(BOOK)[1])


@pytest.mark.parametrize("text", TEXTS, ids=[page.stem for page in PAGES])
def test_each_page_has_exercises_whose_answers_are_computed(text):
    _, *answers = text.split(literate.ANSWER)
    assert 3 <= len(answers) <= 5
    for answer in answers:
        assert "\n```text\n" in answer.split("</details>")[0]


def test_every_number_in_a_sentence_is_computed():
    text = NAMES.sub("", literate.prose(TEXT))
    assert not re.findall(r"\S*\d\S*", text)


def test_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        assert target.startswith("https://") or (ROOT / "docs" / target).exists(), target
