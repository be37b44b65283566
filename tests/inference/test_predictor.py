"""Classifying files: what a person has lying around, and what is told of the rest."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from alexnet.errors import UserError
from alexnet.inference.image_paths import gather
from alexnet.inference.predictor import Predictor
from tests.conftest import ROOT
from tests.handing import small_handoff

PHOTO = Image.fromarray(load_sample_images().images[0])  # 640x427


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return small_handoff(tmp_path_factory.mktemp("model") / "artifacts")


@pytest.fixture
def images(tmp_path):
    """Five images in a folder and one below it, and what else lies about in a folder."""
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for number, name in enumerate(["b.jpg", "a.png", "d.PNG", "c.bmp", "more/e.webp"]):
        PHOTO.crop((100 * number, 0, 100 * number + 150, 200)).save(folder / name)
    (folder / "notes.txt").write_text("no image")
    (folder / ".a.png").write_text("litter")
    return folder


def test_what_arguments_name(images):
    names = ["a.png", "b.jpg", "c.bmp", "d.PNG", "more/e.webp"]
    everything = [images / name for name in names]
    assert gather([images]) == everything
    assert gather([images / "*.png"]) == [images / "a.png"]
    assert gather([images / "**/*.webp"]) == [images / "more/e.webp"]
    first = images / "d.PNG"
    assert gather([first, images, first]) == [first, *everything[:3], everything[4]], "each once"
    assert gather([images / "none.png"]) == [images / "none.png"], "its reader will tell"


def test_a_name_that_looks_like_a_pattern(images):
    (images / "a.png").rename(images / "[a].png")
    assert gather([images / "[a].png"]) == [images / "[a].png"]


@pytest.mark.parametrize("name", ["empty", "*.gif", "none/*.png"])
def test_no_images(images, name):
    (images / "empty").mkdir()
    (images / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(UserError, match=r"holds no images|no file matches"):
        gather([images / name])


def kinds():
    grey16 = np.asarray(PHOTO.convert("L")).astype(np.uint16) * 257
    return {
        "grey": PHOTO.convert("L"),
        "rgba": PHOTO.convert("RGBA"),
        "palette": PHOTO.convert("P"),
        "bilevel": PHOTO.convert("1"),
        "16-bit": Image.fromarray(grey16),
        "huge": PHOTO.convert("L").resize((11000, 9000), Image.Resampling.NEAREST),  # Pillow warns
    }


def test_images_of_every_kind(model, tmp_path):
    paths = []
    for name, image in kinds().items():
        paths.append(tmp_path / f"{name}.png")
        image.save(paths[-1], compress_level=1)
    guesses, failed = Predictor(model).classify_all(paths, top=2)
    assert failed == {}
    assert list(guesses) == paths
    grey, sixteen = Predictor(model).prepare(paths[0]), Predictor(model).prepare(paths[4])
    assert np.abs(grey.astype(int) - sixteen).max() <= 1, "white stays white"


def test_an_image_that_would_fill_the_memory_is_told(model, tmp_path, monkeypatch):
    PHOTO.save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match=r"photo.png does not decode .* exceeds limit"):
        Predictor(model).prepare(tmp_path / "photo.png")


def test_batches_give_what_single_images_give(model, images, monkeypatch):
    monkeypatch.setattr("alexnet.inference.predictor.BATCH_SIZE", 2)
    predictor = Predictor(model)
    paths = gather([images])
    done = []
    guesses, _ = predictor.classify_all(paths, 3, done.append)
    assert done == [2, 2, 1]
    for path in paths:
        for batched, single in zip(guesses[path], predictor.classify(path, 3), strict=True):
            assert batched.label == single.label
            assert batched.probability == pytest.approx(single.probability, abs=1e-6)


def test_the_model_says_how_an_image_is_prepared(tmp_path):
    """Stored at 48 pixels of which the network sees 32: so training did, so does predict."""
    folder = small_handoff(tmp_path / "artifacts", stored_size=48)
    predictor = Predictor(folder)
    PHOTO.save(tmp_path / "photo.png")
    left = (640 - 427) / 2
    whole = PHOTO.resize((48, 48), Image.Resampling.BICUBIC, (left, 0, left + 427, 427))
    expected = np.asarray(whole)[8:40, 8:40]
    np.testing.assert_array_equal(predictor.prepare(tmp_path / "photo.png"), expected)


@pytest.mark.parametrize("form", ["text", "--json", "--csv"])
def test_good_images_are_told_and_bad_ones_listed(run, model, images, form):
    whole = (images / "a.png").read_bytes()
    (images / "cut.png").write_bytes(whole[: len(whole) // 2])
    (images / "text.png").write_text("no image")
    (images / "empty.png").write_bytes(b"")
    options = [] if form == "text" else [form]
    result = run("predict", model, images, images / "none.png", "--top", 2, *options)
    assert result.returncode == 1
    assert "error: 4 of 9 images could not be read:\n" in result.stderr
    for name in ("cut.png", "text.png", "empty.png", "none.png"):
        assert f"  {images / name} " in result.stderr
        assert name not in result.stdout
    assert "Traceback" not in result.stderr
    good = [str(images / name) for name in ("a.png", "b.jpg", "c.bmp", "d.PNG", "more/e.webp")]
    if form == "--json":
        rows = json.loads(result.stdout)
        assert [row["file"] for row in rows] == good
        assert all(len(row["predictions"]) == 2 for row in rows)
    elif form == "--csv":
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert [row["file"] for row in rows] == [name for name in good for _ in range(2)]
        assert [row["rank"] for row in rows] == ["1", "2"] * 5
        assert all(0 <= float(row["probability"]) <= 1 for row in rows)
    else:
        assert [line.split()[0] for line in result.stdout.splitlines()] == good


def test_good_images_alone(run, model, images):
    result = run("predict", model, images)
    assert result.returncode == 0
    assert result.stderr == ""


def test_refusals(run, model, images):
    (images / "empty").mkdir()
    file = model / "model.onnx"
    for given, arguments, message in (
        (model, [images / "empty"], "holds no images"),
        (model, [images, "--json", "--csv"], "--json and --csv: give one of them"),
        (model, [images, "--precision", "int8"], "model.int8.onnx does not exist; of precisions"),
        (file, [images, "--precision", "int8"], "model.onnx is in fp32, not in int8"),
    ):
        result = run("predict", given, *arguments)
        assert result.returncode == 1
        assert result.stderr.startswith("error: ")
        assert message in result.stderr
        assert result.stdout == ""


@pytest.mark.parametrize("options", [[], ["--json"], ["--csv"]])
def test_a_file_name_that_is_not_text(model, tmp_path, options):
    path = os.fsencode(tmp_path) + b"/photo\xff.png"
    with open(path, "wb") as file:
        PHOTO.save(file, "PNG")
    result = subprocess.run(
        [sys.executable, "-m", "alexnet.cli.main", "predict", model, tmp_path, *options],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        cwd=tmp_path,
        capture_output=True,
    )
    assert result.returncode == 0, result.stderr
    assert b"/photo\xff.png" in result.stdout
