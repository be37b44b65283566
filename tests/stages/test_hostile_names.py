"""A data set whose classes and files have hostile names goes through the whole pipeline."""

import csv
import json
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from alexnet.cli.predict import predict
from alexnet.cli.verify import verify
from alexnet.escape import for_csv
from alexnet.network.weights import VARIANTS
from ci.summary import summary
from stages import paths
from stages.download import download
from stages.evaluate import evaluate
from stages.export import export
from stages.gate import gate
from stages.plot import plot
from stages.preprocess import preprocess
from stages.pretrained import pretrained
from stages.profile import profile
from stages.repeat import repeat
from stages.train import train
from tests.conftest import ROOT, write_params
from tests.names import NASTY, REFUSED, Html, Markdown, is_unsafe, normal, unsafe_in
from tests.stages.attempts import Narrow, in_forks

IMAGES = Path("<b>images|`")  # the folder's name is the data set's title
STAGES = (pretrained, download, preprocess, train, profile, evaluate, gate, repeat, plot, export)
CHANGES = {"data__name": "folder", "data__source": str(IMAGES), "data__image_size": 32}
CHANGES |= {"data__val_fraction": 0.2, "data__test_fraction": 0.3, "gate__min_accuracy": 0.0}
CHANGES |= {"gate__min_class_recall": 0.0, "train__epochs": 2}
CHANGES |= {"train__device": "cpu", "plot__num_samples": 24, "export__max_logit_difference": 0.01}
MARKUP = "|`*_<>&[]$\\=+-@'#~1. {%"
TEMPLATE = ROOT / "alexnet/report/report.html.j2"


def random_names(number: int) -> list[str]:
    """Names of random characters, half of them such as are markup somewhere."""
    generator = np.random.default_rng(0)
    names: list[str] = []
    while len(names) < number:
        points = np.where(
            generator.random(20) < 0.5,
            generator.choice(list(map(ord, MARKUP)), 20),
            generator.integers(0x21, 0x3000, 20),
        )
        name = "".join(map(chr, points))
        if name[0] != "." and not any(map(is_unsafe, name)):
            names.append(name)
    return names


def write_images(names: list[str]) -> None:
    """Five images of noise a class, whose files are named after the class."""
    generator = np.random.default_rng(0)
    for name in names:
        (IMAGES / name).mkdir(parents=True)
        for number in range(5):
            pixels = generator.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(IMAGES / name / f"{number}{name[:60]}.png")


def scenario(names: list[str]) -> dict[str, Any]:
    """Run all stages and tools here; returns what each one printed, stdout and stderr."""
    from alexnet.cli.app import run

    write_images(names)
    write_params(Path(), **CHANGES)
    VARIANTS["cifar"] = Narrow
    images = ["artifacts", str(IMAGES), "--top", "2"]
    commands: list[tuple[str, Any, list[str]]] = [(each.__name__, each, []) for each in STAGES]
    commands += [("summary", summary, []), ("predict", predict, images)]
    commands += [("json", predict, [*images, "--json"]), ("csv", predict, [*images, "--csv"])]
    commands += [("verify", verify, ["artifacts"])]
    printed = {}
    saved = os.dup(1), os.dup(2)
    for name, command, arguments in commands:
        with open("out", "w+b") as out, open("err", "w+b") as err:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv, code = [name, *arguments], 0
            try:
                run(command)
            except SystemExit as ended:
                code = ended.code
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
        printed[name] = [code, Path("out").read_text(), Path("err").read_text()]
    return printed


def check_everything(names: list[str]) -> None:
    printed = in_forks(scenario, names=names)
    for name, (code, out, err) in printed.items():
        assert code == 0, (name, out + err)
        assert not unsafe_in(out + err), name
        assert "Traceback" not in out + err
        assert "Warning" not in err, (name, err)
    classes = sorted(unicodedata.normalize("NFC", name) for name in names)
    assert json.loads(Path("artifacts/labels.json").read_text()) == classes
    check_tables(printed, classes)
    check_markdown(printed["summary"][1], classes, kinds={"html_block"})
    check_markdown(Path("artifacts/MODEL_CARD.md").read_text(), classes, kinds=set())
    check_page(classes)
    check_pictures()
    assert not any(
        len(each) > 3 and each in Path("artifacts/config.pbtxt").read_text() for each in classes
    )


def check_tables(printed: dict[str, Any], classes: list[str]) -> None:
    with paths.PREDICTIONS.open(newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert {row["actual"] for row in rows} == set(map(for_csv, classes))
    for row in [*rows, *csv.DictReader(printed["csv"][1].splitlines())]:
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())
    shown = json.loads(printed["json"][1])
    assert {row["file"] for row in shown} == set(map(str, IMAGES.rglob("*.png")))
    assert {best["label"] for row in shown for best in row["predictions"]} <= set(classes)
    assert len(printed["predict"][1].splitlines()) == 1 + 5 * len(classes)


def check_markdown(text: str, classes: list[str], kinds: set[str]) -> None:
    page = Markdown(text)
    assert {kind for kind in page.kinds if kind[:4] == "html"} == kinds
    assert all(html.startswith(("<details>", "</details>")) for html in page.html)
    assert not page.kinds & {"link_open", "image", "s_open", "code_block"}
    shown = [row[0] for row in page.rows if len(row) == 4]
    assert shown[: len(classes) + 1] == ["class", *map(normal, classes)]
    assert shown[len(classes) + 1 :][:1] in ([], ["runtime"]), "the next table, or none"


def check_page(classes: list[str]) -> None:
    page, template = Html(paths.REPORT.read_text()), Html(TEMPLATE.read_text())
    for of_page, of_template in zip(page.kinds, template.kinds, strict=True):
        assert of_page <= of_template, "no tag or attribute but the template's"
    text = normal(page.text)
    assert all(normal(name) in text for name in classes)
    assert IMAGES.name in text


def check_pictures() -> None:
    for file in paths.FIGURES.rglob("*.*"):
        if file.suffix == ".svg":
            ElementTree.parse(file)
        else:
            with Image.open(file) as picture:
                assert picture.width * picture.height < 10_000_000, file


@pytest.mark.slow
def test_names_are_text_from_the_download_to_the_prediction(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALEXNET_CHECKPOINTS", "checkpoints")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    check_everything([*NASTY, *random_names(20)])


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_cannot_be_shown_as_it_is_is_refused(tmp_path, run, name):
    write_params(tmp_path, data__name="folder", data__source="images")
    for each in ("dog", name):
        (tmp_path / "images" / each).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "images" / each / "1.png")
    result = run("download")
    assert result.returncode == 1
    assert not unsafe_in(result.stdout + result.stderr)
    assert len(result.stderr.splitlines()) == 1
    assert "has a control character or is not valid Unicode; rename its folder" in result.stderr
